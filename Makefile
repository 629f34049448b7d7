# ferrovirt: what there is to do. `make demo` shows it, `make test` holds it to its word.
#
# Everything that touches networks, guests or daemons happens in private namespaces; most of it needs root.

PREFIX      ?= /usr/local
SYSCONFDIR  ?= /etc
BINDIR      ?= $(PREFIX)/bin
SBINDIR     ?= $(PREFIX)/sbin
LIBEXECDIR  ?= $(PREFIX)/libexec/ferrovirt
MANDIR      ?= $(PREFIX)/share/man
UNITDIR     ?= $(PREFIX)/lib/systemd/system
DESTDIR     ?=

HELPERS     := ferrovirt-keeper ferrovirt-launch ferrovirt-lease ferrovirt-lxc

.PHONY: build demo test test-vfio lint bench mutants install deps help

help:
	@sed -n 's/^## //p' Makefile

## make deps      install what demo, tests and benchmarks need (Debian)
deps:
	scripts/install-deps

## make build     the daemon and its helpers, for tests and demo
build:
	cargo build --workspace --bins

## make demo      a guest on a network, with every hook call shown
demo: deps build
	scripts/demo

## make test      all tests, those with real virsh, QEMU, dnsmasq and nft included
test: deps build
	cargo test --workspace --no-fail-fast

## make test-vfio devices given to guests, in a host in QEMU with an IOMMU; builds it first (tests/hosts, tests/vfio)
test-vfio: deps build
	tests/hosts/test-vfio $(VFIO_GROUPS)
	tests/vfio/test-desktop

## make lint      format, clippy, the plan's arrows, sizes, licences
lint: deps
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo xtask all
	cargo deny --log-level error check licenses bans sources

## make bench     speed beside the bare programs (and libvirtd where it is installed): bench-out/bench.json
bench: deps
	cargo build --workspace --bins --release
	cargo build --release -p ferrovirt-hook --example hook_cost
	benches/bench --daemon target/release/ferrovirtd --out bench-out

## make mutants   do the tests notice changes in the hook contract's code? (takes an hour)
mutants:
	scripts/mutants

## make install   into PREFIX (/usr/local), with DESTDIR; hooks are looked for below SYSCONFDIR (/etc)
install:
	FERROVIRT_SYSCONFDIR=$(SYSCONFDIR) FERROVIRT_LIBEXEC=$(LIBEXECDIR) cargo build --workspace --bins --release --locked
	install -d $(DESTDIR)$(SBINDIR) $(DESTDIR)$(LIBEXECDIR) $(DESTDIR)$(MANDIR)/man8 $(DESTDIR)$(MANDIR)/man5 \
	    $(DESTDIR)$(MANDIR)/man1 $(DESTDIR)$(BINDIR) $(DESTDIR)$(UNITDIR) $(DESTDIR)$(SYSCONFDIR)/ferrovirt/hooks.d
	install -m 755 target/release/ferrovirtd $(DESTDIR)$(SBINDIR)/
	install -m 755 target/release/ferrovirt $(DESTDIR)$(BINDIR)/
	target/release/ferrovirt completion bash | install -D -m 644 /dev/stdin \
	    $(DESTDIR)$(PREFIX)/share/bash-completion/completions/ferrovirt
	for helper in $(HELPERS); do install -m 755 target/release/$$helper $(DESTDIR)$(LIBEXECDIR)/ || exit 1; done
	install -m 644 docs/man/*.8 $(DESTDIR)$(MANDIR)/man8/
	install -m 644 docs/man/*.1 $(DESTDIR)$(MANDIR)/man1/
	install -m 644 docs/man/*.5 $(DESTDIR)$(MANDIR)/man5/
	for unit in packaging/systemd/*; do \
	    sed 's|/usr/sbin/ferrovirtd|$(SBINDIR)/ferrovirtd|' $$unit > $(DESTDIR)$(UNITDIR)/$${unit##*/} || exit 1; done
	[ -e $(DESTDIR)$(SYSCONFDIR)/ferrovirt/ferrovirtd.toml ] || \
	    install -m 644 packaging/ferrovirtd.toml $(DESTDIR)$(SYSCONFDIR)/ferrovirt/
