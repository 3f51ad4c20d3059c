//! What a kernel module says of itself: the `.modinfo` section, its compression and its signature.

use std::fs;
use std::io::Read;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use object::{Object as _, ObjectSection as _};
use serde::{Deserialize, Serialize};

/// The last bytes of a signed module.
const SIGNED: &[u8] = b"~Module signature appended~\n";
/// The suffixes of module files.
const SUFFIXES: [&str; 4] = [".ko", ".ko.xz", ".ko.zst", ".ko.gz"];
/// No module is larger.
const LARGEST: u64 = 256 << 20;

/// What a module needs and answers to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Modinfo {
    /// Modules that must be loaded before it.
    pub depends: Vec<String>,
    /// Modules, or aliases of modules, that should be.
    pub soft: Vec<String>,
    /// Its plain aliases; those that match device ids are left out.
    pub aliases: Vec<String>,
}

/// The name of a module as the kernel has it: `-` is `_`.
pub fn canonical(name: &str) -> String {
    name.replace('-', "_")
}

/// The module's name, when `file` is the name of a module file.
pub fn name_of(file: &str) -> Option<String> {
    let base = file.rsplit('/').next().unwrap_or(file);
    SUFFIXES.iter().find_map(|suffix| base.strip_suffix(suffix)).map(canonical)
}

/// Reads a module file and undoes its compression.
///
/// # Errors
///
/// When it cannot be read or is damaged.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let what = || format!("reading the kernel module {}", path.display());
    let raw = fs::read(path).with_context(what)?;
    let mut out = Vec::new();
    let inflated = match path.extension().and_then(|suffix| suffix.to_str()) {
        Some("xz") => {
            liblzma::read::XzDecoder::new_multi_decoder(raw.as_slice()).take(LARGEST).read_to_end(&mut out)
        }
        Some("gz") => flate2::read::MultiGzDecoder::new(raw.as_slice()).take(LARGEST).read_to_end(&mut out),
        Some("zst") => zstd::stream::read::Decoder::with_buffer(raw.as_slice())
            .and_then(|decoder| decoder.take(LARGEST).read_to_end(&mut out)),
        _ => return Ok(raw),
    };
    inflated.with_context(what)?;
    Ok(out)
}

/// Parses the `.modinfo` of an uncompressed module.
///
/// # Errors
///
/// When it is not an ELF file, or has no such section.
pub fn parse(module: &[u8]) -> Result<Modinfo> {
    let file = object::File::parse(module)?;
    let section = file.section_by_name(".modinfo").ok_or_else(|| anyhow!("it has no .modinfo section"))?;
    Ok(fields(section.data()?))
}

/// Collects the fields that matter from `key=value` strings that end in NUL.
fn fields(section: &[u8]) -> Modinfo {
    let mut info = Modinfo::default();
    for entry in section.split(|byte| *byte == 0) {
        let Some((key, value)) = std::str::from_utf8(entry).ok().and_then(|entry| entry.split_once('='))
        else {
            continue;
        };
        match key {
            "depends" => info.depends.extend(value.split(',').filter(|name| !name.is_empty()).map(canonical)),
            "softdep" => info.soft.extend(before(value)),
            "alias" if plain(value) => info.aliases.push(canonical(value)),
            _ => {}
        }
    }
    info
}

/// The `pre:` names of a `softdep` field such as `pre: a b post: c`.
fn before(value: &str) -> Vec<String> {
    let mut wanted = false;
    let mut names = Vec::new();
    for word in value.split_whitespace() {
        match word {
            "pre:" => wanted = true,
            "post:" => wanted = false,
            name if wanted => names.push(canonical(name)),
            _ => {}
        }
    }
    names
}

/// Whether an alias is a name, not a pattern for device ids; nobody depends on the latter.
pub fn plain(alias: &str) -> bool {
    !alias.contains([':', '*', '?', '['])
}

/// A module without its appended signature (`struct module_signature`); one without any is returned as it is.
pub fn strip_signature(module: &[u8]) -> &[u8] {
    signed_part(module).unwrap_or(module)
}

fn signed_part(module: &[u8]) -> Option<&[u8]> {
    let rest = module.strip_suffix(SIGNED)?;
    let (rest, trailer) = rest.split_last_chunk::<12>()?;
    let [_, _, _, signer, key_id, _, _, _, a, b, c, d] = *trailer;
    let signature = usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()?;
    let tail = signature.checked_add(usize::from(signer))?.checked_add(usize::from(key_id))?;
    rest.get(..rest.len().checked_sub(tail)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_files() {
        assert_eq!(name_of("kernel/net/8021q/8021q.ko.xz").as_deref(), Some("8021q"));
        assert_eq!(name_of("nf-nat.ko").as_deref(), Some("nf_nat"));
        assert_eq!(name_of("a.ko.zst").as_deref(), Some("a"));
        assert_eq!(name_of("modules.order"), None);
        assert_eq!(name_of("x.ko.txt"), None);
    }

    #[test]
    fn fields_are_collected() {
        let section =
            b"license=GPL\0depends=nf-nat,libcrc32c\0softdep=pre: crc32c crypto-x post: y pre: z\0\0\
            alias=fs-overlay\0alias=pci:v*d*\0depends=\0\xff=\0noequals\0softdep=post: q\0";
        let info = fields(section);
        assert_eq!(info.depends, ["nf_nat", "libcrc32c"]);
        assert_eq!(info.soft, ["crc32c", "crypto_x", "z"]);
        assert_eq!(info.aliases, ["fs_overlay"]);
    }

    #[test]
    fn a_signature_goes_and_nothing_else_does() {
        let mut signed = b"module".to_vec();
        signed.extend(b"sssss"); // the signature
        signed.extend([0, 0, 2, 0, 0, 0, 0, 0]);
        signed.extend(5_u32.to_be_bytes());
        signed.extend(SIGNED);
        assert_eq!(strip_signature(&signed), b"module");
        assert_eq!(strip_signature(b"module"), b"module");
        // A length that reaches before the start is not a signature.
        let lie = signed.len() - SIGNED.len() - 1;
        signed[lie] = 200;
        assert_eq!(strip_signature(&signed), signed.as_slice());
        assert_eq!(strip_signature(SIGNED), SIGNED);
    }

    #[test]
    fn what_is_no_module_is_refused() {
        assert!(parse(b"#!/bin/sh\n").is_err());
        assert!(parse(b"\x7fELF\x02\x01\x01").is_err());
    }
}
