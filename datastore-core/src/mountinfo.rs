//! The kernel's mount table as text (`/proc/self/mountinfo`, proc(5)).
