//! `/etc/fstab` as text (fstab(5)).
