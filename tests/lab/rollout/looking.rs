//! `harden --check` and `--out` look, and write nothing: the kernel is asked.

use std::collections::BTreeSet;
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};

use super::{Controller, Host, SOUND, fresh, hosts, root_of};
use crate::lab::on_host;

/// What sshd, PAM, logind and journald write for every login, whoever comes for whatever.
const OF_A_LOGIN: [&str; 4] = [
    "/var/log/lastlog",
    "/var/log/wtmp",
    "/var/log/btmp",
    "/var/log/journal/",
];

/// Every change below some directories, from outside: the host's root is an overlay that is mounted here.
struct Watch {
    queue: std::os::fd::OwnedFd,
    dirs: std::collections::HashMap<i32, PathBuf>,
    root: PathBuf,
}

impl Watch {
    fn over(host: &str, places: &[&str]) -> Self {
        let mut watch = Self {
            queue: inotify::init(CreateFlags::NONBLOCK).unwrap(),
            dirs: std::collections::HashMap::new(),
            root: root_of(host),
        };
        for place in places {
            let dir = watch.root.join(place.trim_start_matches('/'));
            watch.add(&dir);
        }
        watch
    }

    fn add(&mut self, dir: &Path) {
        let flags = WatchFlags::CREATE
            | WatchFlags::MODIFY
            | WatchFlags::ATTRIB
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::ONLYDIR;
        let id = inotify::add_watch(&self.queue, dir, flags).unwrap();
        self.dirs.insert(id, dir.to_owned());
        for entry in std::fs::read_dir(dir).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                self.add(&entry.path());
            }
        }
    }

    /// The paths on the host that were changed since the last call, without what every login changes.
    fn changed(&self) -> BTreeSet<String> {
        let mut buffer = [MaybeUninit::uninit(); 1 << 14];
        let mut reader = Reader::new(&self.queue, &mut buffer);
        let mut changed = BTreeSet::new();
        loop {
            match reader.next() {
                Ok(event) => {
                    assert!(!event.events().contains(inotify::ReadFlags::QUEUE_OVERFLOW));
                    let name = event
                        .file_name()
                        .map(|name| name.to_string_lossy().into_owned());
                    let path = self.dirs[&event.wd()].join(name.unwrap_or_default());
                    let path = path.strip_prefix(&self.root).unwrap();
                    changed.insert(format!("/{}", path.display()));
                }
                Err(rustix::io::Errno::AGAIN) => {
                    changed.retain(|path: &String| {
                        !OF_A_LOGIN.iter().any(|usual| path.starts_with(usual))
                    });
                    return changed;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn a_look_writes_nothing() {
    let _turn = hosts();
    let host = fresh(0);
    let before = Host::see(&host);
    let bastion = Controller::of(std::slice::from_ref(&host));
    let template = bastion.path("sound").to_str().unwrap().to_owned();
    // Those of the distribution clean up a quarter of an hour after a start.
    on_host(&host, "systemctl stop '*.timer'");
    let watch = Watch::over(
        &host,
        &["/etc", "/var", "/home", "/root", "/usr", "/opt", "/srv"],
    );
    assert!(watch.dirs.len() > 300, "{} directories", watch.dirs.len());
    // It sees what is done.
    on_host(&host, "echo >/etc/lab-mark; rm /etc/lab-mark");
    assert_eq!(
        watch.changed(),
        BTreeSet::from(["/etc/lab-mark".to_owned()])
    );
    let plan = bastion.path("plan.json");
    for args in [
        vec!["harden", "all", "--check", "--template-dir", &template],
        vec!["harden", "all", "--check", "--profile", "strict"],
        vec!["harden", "all", "--check", "--shape", "unit"],
        vec!["harden", "all", "--show", "--template-dir", &template],
        vec![
            "harden",
            "all",
            "--out",
            plan.to_str().unwrap(),
            "--template-dir",
            &template,
        ],
        vec!["harden", "all", "--template-dir", &template],
    ] {
        let ran = bastion.run(&args);
        // The last one has nobody to ask.
        let wanted = match args.as_slice() {
            [.., "--template-dir", _] if args.len() == 4 => 64,
            _ if args.contains(&"--show") => 0,
            _ => 4,
        };
        assert_eq!(ran.code, Some(wanted), "{args:?}: {ran:?}");
        assert_eq!(watch.changed(), BTreeSet::new(), "{args:?}");
    }
    assert_eq!(Host::see(&host), before);
    // What can be seen is in /run, too: nothing of ours is there.
    let ours = on_host(&host, "find /run /tmp /dev/shm -xdev -iname '*clawfleet*'");
    assert_eq!(ours, "");
}

#[test]
fn a_host_that_cannot_be_written_is_looked_at_alike() {
    let _turn = hosts();
    let host = fresh(1);
    let bastion = Controller::of(std::slice::from_ref(&host));
    let template = bastion.template("sound", SOUND);
    let usual = bastion.check(&template);
    assert_eq!(usual.code, Some(4), "{usual:?}");
    on_host(
        &host,
        "for place in /etc /var /home /root /usr; do mount --bind $place $place && mount -o remount,bind,ro $place || exit; done",
    );
    on_host(
        &host,
        "! touch /etc/lab /var/lab /home/lab /root/lab /usr/lab 2>/dev/null",
    );
    let looked = bastion.check(&template);
    assert_eq!(looked.code, Some(4), "{looked:?}");
    let (usual, looked) = (usual.json(), looked.json());
    assert_eq!(looked["entries"], usual["entries"]);
    // And a run says what hinders it.
    let before = Host::see(&host);
    let ran = bastion.harden(&template, &["all"]);
    ran.ends("failed", 5);
    Host::see(&host).is_again(&before);
}
