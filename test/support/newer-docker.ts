/**
 * Bash for a Debian server: offers it the Docker that it has under a higher version, from a source of its own that calls itself the one of
 * security updates. `rm /etc/apt/sources.list.d/newer.list` takes the source away again.
 */
export const OFFER_NEWER_DOCKER = `
mkdir -p /srv/newer; cd /srv/newer
version=$(dpkg-query --show --showformat '\${Version}' docker.io)
apt-get download --quiet "docker.io=$version"
dpkg-deb --raw-extract docker.io_*.deb newer
rm docker.io_*.deb
sed -i "s/^Version: .*/Version: $version+newer1/" newer/DEBIAN/control
# Packing it as tightly as its maintainer takes a minute.
dpkg-deb -Zgzip -z1 --root-owner-group --build newer newer.deb >/dev/null
rm -rf newer
apt-ftparchive packages . > Packages
apt-ftparchive -o APT::FTPArchive::Release::Label=Debian-Security -o APT::FTPArchive::Release::Suite=stable-security \\
  -o APT::FTPArchive::Release::Version=12 release . > /srv/Release
mv /srv/Release .
echo 'deb [trusted=yes] file:/srv/newer ./' > /etc/apt/sources.list.d/newer.list
`;
