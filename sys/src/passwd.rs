//! `passwd(5)` of an image, which may hold anything, read without allocating.

use std::os::fd::BorrowedFd;

use crate::file;

/// The longest directory that is taken, as a path may be.
pub(crate) const LONGEST: usize = 4095;

/// How much of the file is read: more users than there are ids have no room in it.
const MOST: usize = 1 << 28;

/// Gives the home directory of a user to `found`, when the file names one. The first line counts.
pub(crate) fn find_home(file: BorrowedFd<'_>, uid: u32, found: &mut dyn FnMut(&[u8])) {
    let mut buffer = [0; LONGEST];
    // How much of the buffer is in use, and whether that is behind the start of a line that did not fit.
    let (mut used, mut cut) = (0_usize, false);
    let mut read = 0_usize;
    while read < MOST {
        let Some(room) = buffer.get_mut(used..).filter(|room| !room.is_empty()) else {
            (used, cut) = (0, true);
            continue;
        };
        let Ok(count) = file::read(file, room) else { return };
        read = read.saturating_add(count);
        used = used.saturating_add(count);
        let Some(text) = buffer.get(..used) else { return };
        let mut done = 0_usize;
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let whole = line.ends_with(b"\n");
            // The last line may have no end, and is whole where the file ends.
            if !whole && count > 0 {
                break;
            }
            done = done.saturating_add(line.len());
            if std::mem::take(&mut cut) {
                continue;
            }
            if let Some(home) = home_of(line, uid) {
                return found(home);
            }
        }
        if count == 0 {
            return;
        }
        buffer.copy_within(done..used, 0);
        used = used.saturating_sub(done);
    }
}

/// The home directory of a line that is this user's: `name:password:uid:gid:comment:home:shell`.
fn home_of(line: &[u8], uid: u32) -> Option<&[u8]> {
    let mut fields = line.split(|byte| *byte == b':' || *byte == b'\n').skip(2);
    let id: u32 = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    let home = fields.nth(2).filter(|home| !home.is_empty() && !home.contains(&0))?;
    (id == uid).then_some(home)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek, Write};
    use std::os::fd::AsFd;

    fn look(text: &str, uid: u32) -> Option<String> {
        // SAFETY: takes no pointer but a valid name.
        let mut file = unsafe {
            use std::os::fd::FromRawFd;
            std::fs::File::from_raw_fd(libc::memfd_create(c"passwd".as_ptr(), 0))
        };
        file.write_all(text.as_bytes()).unwrap();
        file.rewind().unwrap();
        let mut home = None;
        find_home(file.as_fd(), uid, &mut |found| home = Some(String::from_utf8(found.to_vec()).unwrap()));
        home
    }

    #[test]
    fn the_first_line_of_a_user_counts() {
        let text =
            "root:x:0:0:root:/root:/bin/sh\n\n#x\na:x:7:7::/a:\nb:x:7:8::/b:/bin/sh\nlast:x:9:9:c:/last";
        assert_eq!(look(text, 0).as_deref(), Some("/root"));
        assert_eq!(look(text, 7).as_deref(), Some("/a"));
        assert_eq!(look(text, 9).as_deref(), Some("/last"));
        assert_eq!(look(text, 8), None);
        assert_eq!(look("", 0), None);
    }

    #[test]
    fn lines_that_make_no_sense_are_nobodys() {
        let text =
            "x:x:-1:0::/x:\n:::::\nx:x:0\nx:x:0:0::\nx:x:4294967296:0::/x:\ny:x:0:0:::\nz:x:0:0::/z:\n";
        assert_eq!(look(text, 0).as_deref(), Some("/z"));
        assert_eq!(look("x:x:0:0::/a\0b:\n", 0), None);
    }

    #[test]
    fn a_line_may_lie_across_two_reads_and_be_too_long() {
        for length in [4000, 4050, 4094, 4095, 4096, 8190, 9000] {
            let long = format!("a:x:0:0:{}:/a:\nb:x:1:1::/b:\n", "c".repeat(length));
            assert_eq!(look(&long, 1).as_deref(), Some("/b"), "{length}");
            // One that is too long is nobody's.
            assert_eq!(look(&long, 0).is_some(), length < 4080, "{length}");
        }
        let lines: Vec<_> = (0..3000).map(|uid| format!("u{uid}:x:{uid}:1::/srv/u{uid}:/bin/sh\n")).collect();
        let many = lines.concat();
        assert_eq!(look(&many, 2999).as_deref(), Some("/srv/u2999"));
    }
}
