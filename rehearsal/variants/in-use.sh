# shellcheck shell=bash
# A server on which a team has worked for a while: a site, an account, a task by the clock, a program that listens, files of their own.
fetch_lists
install_packages nginx-light
install --directory /srv/www
echo 'le site de notre équipe' >/srv/www/index.html
sed -i 's#root /var/www/html;#root /srv/www;#' /etc/nginx/sites-available/default
systemctl restart nginx.service

useradd --create-home --shell /bin/bash alice
install --directory --owner alice --group alice --mode 0700 /home/alice/.ssh
ssh-keygen -q -t ed25519 -N '' -C alice@equipe -f /home/alice/key
mv /home/alice/key.pub /home/alice/.ssh/authorized_keys
rm /home/alice/key
chown alice:alice /home/alice/.ssh/authorized_keys
echo 'alice ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/alice
chmod 0440 /etc/sudoers.d/alice

echo '30 3 * * * root tar --create --file /srv/sauvegarde.tar /srv/www' >/etc/cron.d/sauvegarde
cat >/etc/systemd/system/intranet.service <<'END'
[Unit]
Description=Intranet de l'équipe
[Service]
ExecStart=/usr/bin/python3 -m http.server --directory /srv/www 8000
[Install]
WantedBy=multi-user.target
END
systemctl enable --now --quiet intranet.service
echo 'net.ipv4.ip_forward = 1' >/etc/sysctl.d/99-equipe.conf
echo 'PermitRootLogin yes' >/etc/ssh/sshd_config.d/99-equipe.conf
printf '#!/bin/sh\nsystemctl restart nginx\n' >/usr/local/bin/publier
chmod 0755 /usr/local/bin/publier
