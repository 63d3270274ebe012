#!/bin/sh
# unpack.sh FOLDER: downloads git and the distribution's PostgreSQL as packages. FOLDER/root is what the image takes
# of them, FOLDER/libraries names the packages with the libraries that this needs.
set -eu
into=$1
root=$into/root
mkdir -p "$root"
postgresql=$(apt-cache depends postgresql | sed -n 's/^ *Depends: *//p' | head -n 1)
apt-get download git "$postgresql"
for package in ./*.deb; do
  dpkg-deb --extract "$package" "$root"
  # Scanners read what is installed without dpkg here, as in images without a package manager.
  name=$(dpkg-deb --field "$package" Package)
  mkdir -p "$root/var/lib/dpkg/status.d"
  { dpkg-deb --field "$package" | sed '/^Package:/a Status: install ok installed'; echo; } \
    > "$root/var/lib/dpkg/status.d/$name"
  # The first of each alternative; LLVM is for the just-in-time compiler, the perl modules for git's perl programs.
  dpkg-deb --field "$package" Depends | tr ',' '\n' | sed -n 's/^ *\(lib[a-z0-9.+-]*\).*/\1/p' \
    | grep -v -e '^libllvm' -e '-perl$' >> "$into/all"
done
sort -u "$into/all" > "$into/libraries"
rm "$into/all"

# PostgreSQL: the server, without its just-in-time compiler, its tests, its documentation and translations.
(
  cd "$root"/usr/lib/postgresql/*
  rm -rf lib/bitcode lib/llvmjit* lib/pgxs
  rm -f bin/pg_basebackup bin/pg_upgrade
)
rm -rf "$root"/usr/share/postgresql/*/man "$root"/usr/share/postgresql-common "$root"/etc "$root"/lib \
  "$root"/usr/lib/systemd "$root"/var/lib/git "$root"/var/lib/postgresql "$root"/usr/share/bug \
  "$root"/usr/share/locale "$root"/usr/share/man "$root"/usr/share/lintian "$root"/usr/share/bash-completion \
  "$root"/usr/share/gitweb "$root"/usr/share/perl5 "$root"/usr/share/applications

# git: without its programs in perl, and without servers.
(
  cd "$root/usr/lib/git-core"
  for program in *; do
    if [ -f "$program" ] && head -c 64 "$program" | grep -q -a '^#!.*perl'; then rm "$program"; fi
  done
  rm -f git-daemon git-http-backend git-imap-send git-shell git-gui git-citool git-gui--askpass mergetools/*
  rmdir mergetools
)
rm -rf "$root/usr/share/git-core/contrib" "$root/usr/bin/git-shell" "$root/usr/bin/scalar"
find "$root/usr/share/doc" -type f ! -name copyright -delete
find "$root/usr/share/doc" -type l -delete
find "$root" -type d -empty -delete
