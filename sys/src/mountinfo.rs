//! Lines of `/proc/PID/mountinfo` (`proc_pid_mountinfo(5)`), read without allocating.

pub(crate) mod scan;

/// One line, as it stands: paths still have their octal escapes (see [`unescape`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of proc_pid_mountinfo(5), in its words")]
pub struct Line<'a> {
    pub id: u64,
    pub parent: u64,
    pub major: u32,
    pub minor: u32,
    pub root: &'a [u8],
    pub mount_point: &'a [u8],
    /// Options of the mount, separated by commas.
    pub options: &'a [u8],
    /// Optional fields (`shared:N`, `master:N`, `propagate_from:N`, `unbindable`), separated by spaces.
    pub optional: &'a [u8],
    pub fstype: &'a [u8],
    pub source: &'a [u8],
    /// Options of the file system, separated by commas.
    pub super_options: &'a [u8],
}

/// The name of the field that makes no sense, for the message of an error.
pub type Field = &'static str;

impl<'a> Line<'a> {
    /// Reads a line, which has no newline at its end.
    ///
    /// # Errors
    /// The name of the first field that is missing or is no number.
    pub fn parse(line: &'a [u8]) -> Result<Self, Field> {
        let mut rest = line;
        let mut next = |name: Field| field(&mut rest).ok_or(name);
        let id = number(next("mount id")?).ok_or("mount id")?;
        let parent = number(next("parent id")?).ok_or("parent id")?;
        let (major, minor) = device(next("major:minor")?).ok_or("major:minor")?;
        let root = next("root")?;
        let mount_point = next("mount point")?;
        let options = next("mount options")?;
        let (optional, after) = optional(rest).ok_or("separator")?;
        rest = after;
        let fstype = field(&mut rest).ok_or("file system type")?;
        let source = field(&mut rest).ok_or("mount source")?;
        // The last field may hold anything, and is empty for some file systems.
        Ok(Self {
            id,
            parent,
            major,
            minor,
            root,
            mount_point,
            options,
            optional,
            fstype,
            source,
            super_options: rest,
        })
    }

    /// The words of [`Line::optional`].
    pub fn optional_fields(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.optional.split(|byte| *byte == b' ').filter(|word| !word.is_empty())
    }

    /// The number of an optional field such as `shared`.
    pub fn tag(&self, name: &[u8]) -> Option<u64> {
        self.optional_fields().find_map(|word| number(word.strip_prefix(name)?.strip_prefix(b":")?))
    }
}

/// Takes the next field off: what is before a space, or all that is left.
fn field<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    if rest.is_empty() {
        return None;
    }
    let end = rest.iter().position(|byte| *byte == b' ').unwrap_or(rest.len());
    let (word, after) = rest.split_at_checked(end)?;
    *rest = after.strip_prefix(b" ").unwrap_or(after);
    Some(word)
}

/// The optional fields and what comes after the dash.
fn optional(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    if let Some(after) = rest.strip_prefix(b"- ") {
        return Some((&[], after));
    }
    let dash = rest.windows(3).position(|window| window == b" - ")?;
    let (fields, after) = rest.split_at_checked(dash)?;
    Some((fields, after.strip_prefix(b" - ")?))
}

fn device(text: &[u8]) -> Option<(u32, u32)> {
    let colon = text.iter().position(|byte| *byte == b':')?;
    let (major, minor) = text.split_at_checked(colon)?;
    let small = |text| number(text).and_then(|value| u32::try_from(value).ok());
    Some((small(major)?, small(minor.strip_prefix(b":")?)?))
}

/// A decimal number without sign; `None` for anything else and for what does not fit.
fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |value, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        value.checked_mul(10)?.checked_add(digit.into())
    })
}

/// The bytes behind the octal escapes `\ooo`; a backslash that begins none stands for itself.
pub fn unescape(text: &[u8]) -> impl Iterator<Item = u8> + '_ {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (first, after) = rest.split_first()?;
        if *first == b'\\'
            && let Some((digits, after)) = after.split_at_checked(3)
            && let Some(byte) = octal(digits)
        {
            rest = after;
            return Some(byte);
        }
        rest = after;
        Some(*first)
    })
}

fn octal(digits: &[u8]) -> Option<u8> {
    let value = digits.iter().try_fold(0u32, |value, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 8)?;
        value.checked_mul(8)?.checked_add(digit.into())
    })?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_manual_page() {
        let line = b"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:7 - ext3 /dev/root rw,errors=continue";
        let line = Line::parse(line).unwrap();
        assert_eq!((line.id, line.parent, line.major, line.minor), (36, 35, 98, 0));
        assert_eq!(
            (line.root, line.mount_point, line.options),
            (&b"/mnt1"[..], &b"/mnt2"[..], &b"rw,noatime"[..])
        );
        assert_eq!(
            (line.tag(b"master"), line.tag(b"shared"), line.tag(b"propagate_from")),
            (Some(1), Some(7), None)
        );
        assert_eq!(line.optional_fields().count(), 2);
        assert_eq!(
            (line.fstype, line.source, line.super_options),
            (&b"ext3"[..], &b"/dev/root"[..], &b"rw,errors=continue"[..])
        );
    }

    #[test]
    fn fields_may_be_missing_or_wrong() {
        let faults: [(&[u8], &str); 8] = [
            (b"", "mount id"),
            (b"x", "mount id"),
            (b"99999999999999999999 1 0:1 / / rw - a b c", "mount id"),
            (b"1 -1", "parent id"),
            (b"1 2 3", "major:minor"),
            (b"1 2 0:4294967296 / / rw - a b c", "major:minor"),
            (b"1 2 0:1 / / rw shared:1", "separator"),
            (b"1 2 0:1 / / rw - tmpfs", "mount source"),
        ];
        for (line, field) in faults {
            assert_eq!(Line::parse(line).unwrap_err(), field, "{}", line.escape_ascii());
        }
        // A source may be empty: `mount("", …)`.
        assert_eq!(Line::parse(b"1 2 0:1 / / rw - tmpfs  rw").unwrap().source, b"");
    }

    #[test]
    fn escapes_are_undone() {
        let text = |escaped: &[u8]| unescape(escaped).collect::<Vec<_>>();
        assert_eq!(text(br"/a\040b\011\012\134"), b"/a b\t\n\\");
        assert_eq!(text(br"\04 \999 \777 \"), br"\04 \999 \777 \");
        assert_eq!(text(b"\xff\\303"), b"\xff\xc3");
    }
}
