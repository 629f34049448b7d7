//! What libvirt's LXC driver fills in when a container is defined, and what it refuses.
