//! The ELF image inside a bzImage: QEMU boots it directly (PVH), which saves the guest the decompression.

use std::fs;
use std::io::Read;
use std::path::Path;

use anyhow::{Context as _, Result};
use object::LittleEndian;
use object::elf::{FileHeader64, NoteType, PT_NOTE};
use object::read::elf::{FileHeader as _, ProgramHeader as _};

use crate::fail;

/// No kernel is larger; a payload that inflates beyond it is refused.
const LARGEST: u64 = 512 << 20;
/// The note that gives the entry point of a PVH boot (`XEN_ELFNOTE_PHYS32_ENTRY`).
const PHYS32_ENTRY: NoteType = NoteType(18);
/// What an lz4 block of the legacy frame can hold at most.
const LZ4_BLOCK: usize = 8 << 20;

/// Reads a kernel and returns what QEMU boots fastest: the uncompressed ELF when it has an entry point
/// for PVH, else the bzImage as it is.
///
/// # Errors
///
/// When the file cannot be read, is no x86 kernel, or is damaged.
pub fn vmlinux(vmlinuz: &Path) -> Result<Vec<u8>> {
    let data = fs::read(vmlinuz)
        .with_context(|| format!("reading the kernel {}", vmlinuz.display()))
        .map_err(|error| fail::usage(format!("{error:#}")))?;
    bootable(data).map_err(|why| fail::usage(format!("{} cannot be booted: {why}", vmlinuz.display())))
}

/// The same for a kernel in memory; the error is the reason.
fn bootable(data: Vec<u8>) -> Result<Vec<u8>, String> {
    if data.starts_with(b"\x7fELF") {
        return match pvh(&data) {
            Ok(true) => Ok(data),
            Ok(false) => {
                Err("it is an ELF file without a PVH entry point (a kernel needs CONFIG_PVH=y; or name its bzImage)".into())
            }
            Err(why) => Err(format!("it is no kernel, or a damaged one: {why}")),
        };
    }
    let payload = payload(&data)?;
    let elf = decompress(payload)?;
    match pvh(&elf) {
        Ok(true) => Ok(elf),
        Ok(false) => Ok(data),
        Err(why) => Err(format!("the payload of the bzImage is damaged: {why}")),
    }
}

/// The compressed payload of a bzImage, found through the setup header (Documentation/arch/x86/boot.rst).
fn payload(data: &[u8]) -> Result<&[u8], String> {
    const NO_KERNEL: &str = "it is neither a vmlinux (ELF) nor a bzImage";
    if data.get(0x202..0x206) != Some(b"HdrS") {
        return Err(NO_KERNEL.into());
    }
    let version =
        data.get(0x206..0x208).and_then(|bytes| bytes.try_into().ok()).map_or(0, u16::from_le_bytes);
    if version < 0x208 {
        return Err(format!("its boot protocol {}.{:02} is older than 2.08", version >> 8, version & 0xff));
    }
    let word = |at: usize| {
        let bytes = data.get(at..at.checked_add(4)?)?;
        usize::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok()
    };
    let sectors = data.get(0x1f1).map_or(4, |count| if *count == 0 { 4 } else { usize::from(*count) });
    let (offset, length) = word(0x248).zip(word(0x24c)).ok_or(NO_KERNEL)?;
    let start = offset.checked_add((sectors + 1) * 512);
    let range = start.and_then(|start| Some(start..start.checked_add(length)?));
    range.and_then(|range| data.get(range)).ok_or_else(|| {
        format!(
            "the bzImage is truncated: its payload of {length} bytes is not all there ({} bytes in the file)",
            data.len()
        )
    })
}

fn decompress(payload: &[u8]) -> Result<Vec<u8>, String> {
    let damaged = |method: &str, why: &dyn std::fmt::Display| {
        format!("the {method} payload of the bzImage is damaged: {why}")
    };
    match payload {
        [0x7f, b'E', b'L', b'F', ..] => Ok(payload.to_vec()),
        [0x1f, 0x8b, ..] => read(flate2::read::GzDecoder::new(payload)).map_err(|why| damaged("gzip", &why)),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            read(liblzma::read::XzDecoder::new(payload)).map_err(|why| damaged("xz", &why))
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            // The build appends the size to the stream, so only the first frame counts.
            let decoder = zstd::stream::read::Decoder::with_buffer(payload)
                .map(zstd::stream::read::Decoder::single_frame);
            decoder.and_then(read).map_err(|why| damaged("zstd", &why))
        }
        [0x02, 0x21, 0x4c, 0x18, blocks @ ..] => lz4_legacy(blocks).map_err(|why| damaged("lz4", &why)),
        [0x5d, 0, 0, ..] => Err("its payload is compressed with lzma; use gzip, xz, lz4 or zstd".into()),
        [b'B', b'Z', b'h', ..] => {
            Err("its payload is compressed with bzip2; use gzip, xz, lz4 or zstd".into())
        }
        [0x89, b'L', b'Z', b'O', ..] => {
            Err("its payload is compressed with lzo; use gzip, xz, lz4 or zstd".into())
        }
        _ => Err("the payload of the bzImage is in no known compression".into()),
    }
}

fn read(decoder: impl Read) -> std::io::Result<Vec<u8>> {
    let mut out = Vec::new();
    decoder.take(LARGEST).read_to_end(&mut out)?;
    Ok(out)
}

/// Blocks of the legacy frame: a length, then a raw block; `lz4_flex` reads the blocks but not this frame's end,
/// which the kernel build marks with nothing but the four bytes of the uncompressed size.
fn lz4_legacy(mut blocks: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    while blocks.len() > 4 {
        let (length, rest) = blocks.split_first_chunk::<4>().ok_or("a block has no length")?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|why| why.to_string())?;
        let (block, rest) = rest.split_at_checked(length).ok_or("a block is truncated")?;
        out.extend(lz4_flex::block::decompress(block, LZ4_BLOCK).map_err(|why| why.to_string())?);
        if out.len() as u64 > LARGEST {
            return Err("it is larger than any kernel".into());
        }
        blocks = rest;
    }
    Ok(out)
}

/// Whether this x86-64 ELF file can be entered the PVH way.
fn pvh(data: &[u8]) -> Result<bool, object::Error> {
    let header = FileHeader64::<LittleEndian>::parse(data)?;
    let endian = header.endian()?;
    for segment in header.program_headers(endian, data)? {
        if segment.p_type(endian) != PT_NOTE {
            continue;
        }
        let Some(mut notes) = segment.notes(endian, data)? else { continue };
        while let Some(note) = notes.next()? {
            if note.name() == b"Xen" && note.n_type(endian) == PHYS32_ENTRY {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

#[cfg(test)]
#[path = "vmlinux_tests.rs"]
mod tests;
