/** Accounts and groups of Debian, Ubuntu and the packages installed on the server, besides those that begin with `_` or `systemd-`. */
const SYSTEM_NAMES: ReadonlySet<string> = new Set(
  `root daemon bin sys sync games man lp mail news uucp proxy www-data backup list irc gnats nobody nogroup
   adm tty disk kmem dialout fax voice cdrom floppy tape sudo wheel audio dip operator src shadow utmp video sasl plugdev staff users
   input sgx kvm render crontab netdev lxd lxc docker ssh sshd messagebus dbus syslog uuidd tcpdump tss landscape pollinate
   fwupd-refresh usbmux dnsmasq polkitd rtkit avahi ntp ntpsec chrony statd rpc postfix postdrop exim debian-exim mysql postgres
   redis fail2ban munin nagios ftp telnetd identd gdm lightdm cups saned colord geoclue
   pulse whoopsie kernoops speech-dispatcher hplip ssl-cert`.split(/\s+/),
);

/** Whether a name belongs to the system: such an account has another home, no shell, or, as root, no login at all. */
export function isSystemName(name: string): boolean {
  return SYSTEM_NAMES.has(name) || /^(_|systemd-)/.test(name);
}
