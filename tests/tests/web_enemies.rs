//! What happens behind the web page's back while it moves data: a disk fills up, goes away, or is swapped; the web server is restarted.
//! Whatever it is, the page says so, the data is in one place, and the app has it.

use std::fs;

use datastore_tests::web::{Visitor, Web};

const DISKS: &[(&str, u64)] = &[("sdb", 96 << 20), ("sdc", 96 << 20), ("sdd", 96 << 20)];

/// A server whose app `shop` has data on `data0`, and a service. What is said in `meanwhile` happens when that is stopped for the first
/// time: after the passes that copy while it runs, and before the last one.
fn server(meanwhile: &str) -> Web {
    let web = Web::new(DISKS, 2);
    web.sandbox().script(
        "/etc/init.d/shop",
        &format!(
            "case $1 in\n\
             start) touch /run/shop ;;\n\
             stop) rm -f /run/shop; if ! test -e /run/once; then touch /run/once; {meanwhile}; fi; exit 0 ;;\n\
             status) test -e /run/shop && exit 0; exit 3 ;;\nesac"
        ),
    );
    let text = "services = [\"shop\"]\n[mapping.\"/srv/shop\"]\ntarget = \"%{base}/shop\"\n";
    web.sandbox().configlet("shop", text);
    web.datastore(&["apply", "--yes"]).ok();
    web.root(
        "cd /srv/shop && for i in $(seq 50); do seq $i 20000 > $i; done && sha256sum [0-9]* > sums && touch /run/shop",
    )
    .ok();
    web
}

/// Has the page move it to `data1`.
fn moved(visitor: &Visitor<'_>) -> String {
    visitor.outcome(&visitor.begin(&[("verb", "move"), ("app", "shop"), ("to", "data1")]))
}

/// The app has its data, which lies on this disk, and runs.
#[track_caller]
fn is_well_on(web: &Web, disk: &str) {
    web.root("cd /srv/shop && sha256sum --quiet --check sums").ok();
    let bound = web.sandbox().bound("/srv/shop").expect("it is bound");
    assert_eq!(bound.source, format!("/dev/{disk}"), "{bound:?}");
    web.datastore(&["guard", "shop"]).ok();
    assert!(web.sandbox().exists("/run/shop"), "its service does not run");
    assert_eq!(web.grumbles(), Vec::<String>::new());
}

/// It was not moved, for this reason, and can be moved once the cause has gone.
#[track_caller]
fn stays(web: &Web, reason: &str, mend: &str) {
    let visitor = web.visitor();
    let page = moved(&visitor);
    for text in ["Not done", reason, "everything that was done before has been taken back", "What mends it"] {
        assert!(page.contains(text), "{text:?} is not in {page}");
    }
    is_well_on(web, "sdb");
    web.root(mend).ok();
    let page = moved(&visitor);
    assert!(page.contains("Done") && page.contains("Undo"), "{page}");
    is_well_on(web, "sdc");
}

#[test]
fn a_disk_fills_up() {
    let web = server("yes big | head -c 20000000 > /srv/shop/big; yes | head -c 200000000 > /store/data1/filler");
    stays(&web, "there is no room for the copy of", "rm /store/data1/filler");
}

#[test]
fn a_disk_goes_away() {
    let web = server("umount -l /store/data1");
    stays(&web, "/store/data1/live/server1/.datastore/manifest.toml cannot be written", "mount /dev/sdc /store/data1");
}

#[test]
fn a_disk_is_swapped_for_that_of_another_machine() {
    let web = server("umount -l /store/data1; mount /dev/sdd /store/data1");
    // With a data store of its own, in which the app has other data.
    web.root(
        "mkfs.ext4 -qF /dev/sdd && mkdir /mnt/other && mount /dev/sdd /mnt/other && cp -a /store/data0/. /mnt/other/ && \
         echo other > /mnt/other/live/server1/shop/1 && umount /mnt/other",
    )
    .ok();
    let mend = "mount /dev/sdd /mnt/other && test \"$(cat /mnt/other/live/server1/shop/1)\" = other && \
                ! test -e /mnt/other/live/server1/.datastore/incoming/shop && umount /mnt/other && \
                umount /store/data1 && mount /dev/sdc /store/data1";
    stays(&web, "the manifest says something else of `shop` now", mend);
}

#[test]
fn the_web_server_is_restarted() {
    let web = server("touch /run/slow; while test -e /run/slow; do sleep 0.05; done");
    let visitor = web.visitor();
    let follow = visitor.begin(&[("verb", "move"), ("app", "shop"), ("to", "data1")]);
    web.sandbox().wait_for("/run/slow");
    web.restart_php();
    // It is let in as before, and finds what it was following.
    let page = visitor.get(&follow).body;
    assert!(page.contains("id='ds-follow'") && page.contains("stop shop"), "{page}");
    fs::remove_file(web.sandbox().path("/run/slow")).expect("let it end");
    let page = visitor.outcome(&follow);
    assert!(page.contains("Done") && page.contains("Undo"), "{page}");
    is_well_on(&web, "sdc");
}
