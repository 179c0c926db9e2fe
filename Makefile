# make            builds dist/
# make test       everything: packages, types, lint, unit, integration and end-to-end tests (as root)
# make demo       an image's way from a registry to a running service, on a throw-away host (as root)
# make bench      figures beside a shell pipeline that does the same (as root); make bench-large takes minutes
# make install    PREFIX=/usr/local DESTDIR=
PREFIX ?= /usr/local
DESTDIR ?=
LIBDIR = $(DESTDIR)$(PREFIX)/lib/atomic-ts
BINDIR = $(DESTDIR)$(PREFIX)/bin
MANDIR = $(DESTDIR)$(PREFIX)/share/man/man1
UNITDIR = $(DESTDIR)$(PREFIX)/lib/systemd/system

# A user's npm may be told to leave these out.
NPM_CI = npm ci --include=dev --include=optional --no-audit --no-fund

.PHONY: all build test demo bench bench-large install uninstall clean format

all: build

# npm writes this file last; `npm ci` gives it the time of the installation.
node_modules/.package-lock.json: package-lock.json
	$(NPM_CI) </dev/null
	@touch $@

build: node_modules/.package-lock.json
	npm run --silent build

test:
	packaging/setup.sh test
	@$(MAKE) --no-print-directory node_modules/.package-lock.json
	node test/run-all.mjs </dev/null

demo: build
	packaging/setup.sh demo
	packaging/demo.sh </dev/null

bench: build
	packaging/setup.sh bench
	node bench/run.mjs </dev/null

bench-large: export BENCH_LARGE = 1
bench-large: bench

# Takes dist/ as it is, so that it can run as root after a build as a user.
install:
	@test -e dist/atomic-ts.js || { echo 'install: dist/ is missing; run make first' >&2; exit 1; }
	rm -rf $(LIBDIR)
	install -d $(LIBDIR) $(BINDIR)
	cp -R dist/. $(LIBDIR)/
	chmod 755 $(LIBDIR)/atomic-ts.js
	ln -sfn ../lib/atomic-ts/atomic-ts.js $(BINDIR)/atomic-ts
	for page in docs/man/*.1; do test ! -e $$page || install -D -m 644 -t $(MANDIR) $$page; done
	install -d $(UNITDIR)
	for unit in units/*.service units/*.timer; do \
	  test ! -e $$unit || sed 's|@PREFIX@|$(PREFIX)|g' $$unit >$(UNITDIR)/$${unit##*/} || exit; done

uninstall:
	rm -rf $(LIBDIR)
	rm -f $(BINDIR)/atomic-ts
	for page in docs/man/*.1; do rm -f $(MANDIR)/$${page##*/}; done
	for unit in units/*.service units/*.timer; do rm -f $(UNITDIR)/$${unit##*/}; done

clean:
	rm -rf dist coverage

format: node_modules/.package-lock.json
	npm run --silent format
