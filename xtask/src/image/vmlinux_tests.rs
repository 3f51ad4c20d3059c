//! Tests of finding the kernel in its image.

use super::*;
use proptest::prelude::*;
use std::io::Write as _;

/// A 64-bit ELF file with one note segment, of the type given.
fn elf(note_type: u32) -> Vec<u8> {
    let mut file = vec![0_u8; 64 + 56];
    file[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    file[16..20].copy_from_slice(&[2, 0, 62, 0]);
    file[20] = 1;
    file[32] = 64; // e_phoff
    file[52] = 64; // e_ehsize
    file[54] = 56; // e_phentsize
    file[56] = 1; // e_phnum
    file[64] = 4; // PT_NOTE
    file[64 + 8] = 120; // p_offset
    file[64 + 32] = 20; // p_filesz
    file[64 + 48] = 4; // p_align
    file.extend([4_u32, 4, note_type].iter().flat_map(|word| word.to_le_bytes()));
    file.extend(b"Xen\0\x12\x34\x56\x78");
    file
}

/// A bzImage around a payload.
fn bzimage(payload: &[u8]) -> Vec<u8> {
    let mut file = vec![0_u8; 1024 + 16];
    file[0x1f1] = 1;
    file[0x202..0x206].copy_from_slice(b"HdrS");
    file[0x206..0x208].copy_from_slice(&0x20f_u16.to_le_bytes());
    file[0x248..0x24c].copy_from_slice(&16_u32.to_le_bytes());
    file[0x24c..0x250].copy_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
    file.extend(payload);
    file.extend(b"trailing data of the image");
    file
}

/// The payload in each compression, with the size behind it as the kernel's build appends it.
fn payloads(content: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let size = u32::try_from(content.len()).unwrap().to_le_bytes();
    let with_size = |mut bytes: Vec<u8>| {
        bytes.extend(size);
        bytes
    };
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(content).unwrap();
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(content).unwrap();
    let mut lz4 = vec![0x02, 0x21, 0x4c, 0x18];
    for block in content.chunks(100) {
        let block = lz4_flex::block::compress(block);
        lz4.extend(u32::try_from(block.len()).unwrap().to_le_bytes());
        lz4.extend(block);
    }
    vec![
        ("none", content.to_vec()),
        ("gzip", gzip.finish().unwrap()),
        ("xz", with_size(xz.finish().unwrap())),
        ("zstd", with_size(zstd::bulk::compress(content, 1).unwrap())),
        ("lz4", with_size(lz4)),
    ]
}

#[test]
fn every_compression_gives_the_elf() {
    let elf = elf(PHYS32_ENTRY.0);
    for (method, payload) in payloads(&elf) {
        assert_eq!(bootable(bzimage(&payload)).as_ref(), Ok(&elf), "{method}");
    }
    assert_eq!(bootable(elf.clone()).as_ref(), Ok(&elf));
}

#[test]
fn without_a_pvh_entry_the_bzimage_stays() {
    let image = bzimage(&elf(1));
    assert_eq!(bootable(image.clone()), Ok(image));
    assert!(bootable(elf(1)).unwrap_err().contains("CONFIG_PVH"));
}

#[test]
fn what_is_no_kernel_is_refused_with_the_reason() {
    let cases: [(&[u8], &str); 5] = [
        (b"", "neither"),
        (b"#!/bin/sh\n", "neither"),
        (b"\x7fELFshort", "no kernel"),
        (&bzimage(b"payload of no known kind"), "no known compression"),
        (&bzimage(&[0x5d, 0, 0, 0]), "lzma"),
    ];
    for (data, part) in cases {
        let why = bootable(data.to_vec()).unwrap_err();
        assert!(why.contains(part), "{why}");
    }
    let error = vmlinux(Path::new("/nonexistent")).unwrap_err();
    assert_eq!(fail::exit_code(&error), 2);
}

#[test]
fn truncation_is_an_error_at_every_byte() {
    for (method, payload) in payloads(&elf(PHYS32_ENTRY.0)) {
        let whole = 1024 + 16 + payload.len();
        let image = bzimage(&payload);
        for end in 0..whole {
            assert!(bootable(image[..end].to_vec()).is_err(), "{method} cut at {end}");
        }
    }
}

proptest! {
    #[test]
    fn damage_never_panics(method in 0_usize..5, at in 0_usize..2000, value: u8, cut in 0_usize..2000) {
        let (_, payload) = payloads(&elf(PHYS32_ENTRY.0)).swap_remove(method);
        let mut image = bzimage(&payload);
        let (at, cut) = (at % image.len(), image.len() - cut % image.len());
        image[at] = value;
        image.truncate(cut);
        let _ = bootable(image);
    }

    #[test]
    fn noise_never_panics(data in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let _ = bootable(data.clone());
        let _ = decompress(&data);
        let _ = lz4_legacy(&data);
    }
}
