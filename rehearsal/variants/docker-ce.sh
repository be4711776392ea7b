# shellcheck shell=bash
# Docker's own packages, which no registry has here: the same names, files, conflicts and units around the distribution's programs.
work=$(mktemp --directory)
cd "$work" || exit 1
fetch_lists
# From Debian 13 on the client is a package of its own.
mapfile -t sources < <(for name in docker.io docker-cli containerd runc; do if [ -n "$(apt-cache madison "$name")" ]; then echo "$name"; fi; done)
apt-get --quiet --quiet download "${sources[@]}" 2>/dev/null
for file in ./*.deb; do dpkg-deb --extract "$file" found; done

# package <name> <version> <other fields>: what is below the folder of that name.
package() {
  install --directory "$1/DEBIAN"
  printf 'Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: Docker <support@docker.com>\nDescription: stand-in for %s\n%s\n' "$1" "$2" "$(dpkg --print-architecture)" "$1" "$3" >"$1/DEBIAN/control"
  if [ -d "$1/etc" ]; then find "$1/etc" -type f | sed "s#^$1##" >"$1/DEBIAN/conffiles"; fi
  dpkg-deb --root-owner-group -Znone --build "$1" "$1.deb" >/dev/null
}

# units <package> <unit>…: starts and stops them as debhelper's scripts do, which mask what is removed.
units() {
  local name=$1
  shift
  install --directory "$name/DEBIAN"
  cat >"$name/DEBIAN/postinst" <<END
#!/bin/sh
set -e
if ! getent group docker >/dev/null; then groupadd --system docker; fi
for unit in $*; do
  deb-systemd-helper unmask \$unit >/dev/null || true
  deb-systemd-helper enable \$unit >/dev/null || true
done
systemctl daemon-reload
deb-systemd-invoke start $* >/dev/null
END
  cat >"$name/DEBIAN/prerm" <<END
#!/bin/sh
set -e
if [ "\$1" = remove ]; then deb-systemd-invoke stop $* >/dev/null; fi
END
  cat >"$name/DEBIAN/postrm" <<END
#!/bin/sh
set -e
systemctl daemon-reload
for unit in $*; do
  if [ "\$1" = remove ]; then deb-systemd-helper mask \$unit >/dev/null; fi
  if [ "\$1" = purge ]; then deb-systemd-helper purge \$unit >/dev/null; deb-systemd-helper unmask \$unit >/dev/null; fi
done
END
  chmod 0755 "$name/DEBIAN/"{postinst,prerm,postrm}
}

programs() { for name; do find found -type f -name "$name" -perm /0111 -print -quit; done; }
copy() {
  local target=$1
  shift
  install --directory "$target"
  cp "$@" "$target"
}

mapfile -t runtime < <(programs containerd containerd-shim-runc-v2 ctr runc)
copy containerd.io/usr/bin "${runtime[@]}"
install --directory containerd.io/etc/containerd containerd.io/lib/systemd/system
echo 'disabled_plugins = ["cri"]' >containerd.io/etc/containerd/config.toml
cat >containerd.io/lib/systemd/system/containerd.service <<'END'
[Unit]
Description=containerd container runtime
After=network.target
[Service]
ExecStart=/usr/bin/containerd
Type=notify
Delegate=yes
KillMode=process
Restart=always
[Install]
WantedBy=multi-user.target
END
units containerd.io containerd.service
package containerd.io 1.7.28-1 "Provides: containerd, runc
Conflicts: containerd, runc
Replaces: containerd, runc
Depends: libc6, libseccomp2"

mapfile -t client < <(programs docker)
copy docker-ce-cli/usr/bin "${client[@]}"
package docker-ce-cli 5:28.5.2-1 "Conflicts: docker, docker-engine
Depends: libc6"

mapfile -t engine < <(programs dockerd docker-proxy)
copy docker-ce/usr/bin "${engine[@]}"
install --directory docker-ce/etc/default docker-ce/lib/systemd/system
echo '#DOCKER_OPTS="--dns 8.8.8.8 --dns 8.8.4.4"' >docker-ce/etc/default/docker
cat >docker-ce/lib/systemd/system/docker.service <<'END'
[Unit]
Description=Docker Application Container Engine
After=network-online.target docker.socket containerd.service
Wants=network-online.target containerd.service
Requires=docker.socket
[Service]
Type=notify
ExecStart=/usr/bin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock
Restart=always
LimitNOFILE=infinity
Delegate=yes
KillMode=process
[Install]
WantedBy=multi-user.target
END
cat >docker-ce/lib/systemd/system/docker.socket <<'END'
[Unit]
Description=Docker Socket for the API
[Socket]
ListenStream=/run/docker.sock
SocketMode=0660
SocketUser=root
SocketGroup=docker
[Install]
WantedBy=sockets.target
END
units docker-ce docker.service docker.socket
package docker-ce 5:28.5.2-1 "Conflicts: docker, docker-engine, docker.io
Replaces: docker-engine
Depends: containerd.io, docker-ce-cli, iptables, libsystemd0"

install_packages ./containerd.io.deb ./docker-ce-cli.deb ./docker-ce.deb
docker version >/dev/null
cd /
rm -r "$work"
