import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { NOTHING_EXTRA } from "../../common/nothing-extra.ts";
import type { TestHost } from "../support/host.ts";
import { until } from "../support/until.ts";
import { SETS, startExtrasHost, withVariables, type ExtrasHost } from "./extras-host.ts";

let host: TestHost;
let extras: ExtrasHost;

beforeAll(async () => {
  extras = await startExtrasHost();
  ({ host } = extras);
});
afterAll(() => host.stop());

const scripts = (set: string) => extras.scripts(set);
const observed = (set: string) => extras.observed(set);
const apply = (set: string) => extras.apply(set);

describe("a server right after its deployment", () => {
  it.each(SETS)("has no extras in the set %s, and reports that it was not compared yet", async (set) => {
    expect(await observed(set)).toEqual(["not compared yet"]);
    await apply(set);
    expect(await observed(set)).toEqual([NOTHING_EXTRA]);
  });

  // Settings of packages are read whole: a date proves nothing.
  const most = SETS.map((set) => [set, set === "system" ? 0.8 : 0.3] as const);

  it.each(most)("is compared in the set %s with less than %d s of a processor", async (set, seconds) => {
    const { observe } = scripts(set);
    const spent = await host.exec(`(\n${withVariables(scripts(set), observe)}\n) >/dev/null\ntimes`);
    const children = [...(spent.split("\n")[1] ?? "").matchAll(/(\d+)m([\d.]+)s/g)];
    const [user = NaN, system = NaN] = children.map(
      ([, minutes, seconds]) => Number(minutes) * 60 + Number(seconds),
    );

    expect(user + system).toBeLessThan(seconds);
  });
});

describe("a server that was in use before", () => {
  it("fails the first comparison with a list of the extras, and keeps them", async () => {
    await host.exec("rm /var/lib/technicia/compared/files; echo '* * * * * root true' > /etc/cron.d/theirs");
    const { code, stderr } = await host.tryExec(withVariables(scripts("files"), scripts("files").apply));

    expect(code).toBe(1);
    expect(stderr).toContain(
      "expected a server without anything that nobody declared, got:\ncron entry /etc/cron.d/theirs",
    );
    expect(await host.exec("cat /etc/cron.d/theirs")).toContain("root true");
    await host.exec("rm /etc/cron.d/theirs");
    await apply("files");
    expect(await observed("files")).toEqual([NOTHING_EXTRA]);
  });
});

interface Case {
  readonly what: string;
  readonly tamper: string;
  readonly found: readonly (string | RegExp)[];
  /** Lines that may stand beside those. */
  readonly beside?: RegExp;
  /** What must hold after the repair besides the quiet. */
  readonly after?: string;
}

const PYTHON = "setsid python3 -c";
const CASES: Readonly<Record<string, readonly Case[]>> = {
  access: [
    {
      what: "an account with a shell, in powerful groups",
      tamper:
        "useradd --create-home --shell /bin/bash mallory; gpasswd -a mallory sudo; gpasswd -a mallory docker; setsid runuser -u mallory -- sleep 999 >/dev/null 2>&1 &",
      found: [
        "account mallory with the shell /bin/bash",
        "member mallory of the group docker",
        "member mallory of the group sudo",
      ],
      after: "! pgrep --full 'sleep 999'; [[ $(getent group docker) != *mallory* ]]",
    },
    {
      what: "a second root",
      tamper: "useradd --non-unique --uid 0 --no-create-home --no-user-group toor",
      found: ["account toor with uid 0"],
      after: "getent passwd root",
    },
    {
      what: "the login user of a package given root's group",
      tamper: "gpasswd -a www-data docker",
      found: ["member www-data of the group docker"],
    },
    {
      what: "a key of root's",
      tamper: `mkdir -p /root/.ssh; printf '# kept\\nno-port-forwarding,command="echo '"'"'Please login as the user \\\\"debian\\\\" rather'"'"'" ssh-ed25519 AAAA\\n' > /root/.ssh/authorized_keys; ssh-keygen -q -t ed25519 -N '' -C evil@example -f /tmp/key; cat /tmp/key.pub >> /root/.ssh/authorized_keys; rm /tmp/key*`,
      found: [/^key SHA256:\S+ evil@example in \/root\/\.ssh\/authorized_keys$/],
      after:
        "grep --quiet '^# kept' /root/.ssh/authorized_keys; grep --quiet 'Please login' /root/.ssh/authorized_keys",
    },
    {
      what: "a key in the second file that sshd reads",
      tamper:
        "ssh-keygen -q -t ed25519 -N '' -C evil -f /tmp/key; cat /tmp/key.pub >> /home/debian/.ssh/authorized_keys2; rm /tmp/key*",
      found: [/^key SHA256:\S+ evil in \/home\/debian\/\.ssh\/authorized_keys2$/],
    },
    {
      what: "a sudo rule in a file of its own",
      tamper: "echo 'www-data ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/web",
      found: ['sudo rule "www-data ALL=(ALL) NOPASSWD: ALL" in /etc/sudoers.d/web'],
      after: "! test -e /etc/sudoers.d/web",
    },
    {
      what: "a sudo rule over two lines among the login user's own",
      tamper: "printf 'games ALL=(ALL) \\\\\\n  ALL\\n' >> /etc/sudoers.d/90-cloud-init-users",
      found: ['sudo rule "games ALL=(ALL) ALL" in /etc/sudoers.d/90-cloud-init-users'],
      after:
        "runuser -u debian -- sudo -n true; [ $(stat --format %a /etc/sudoers.d/90-cloud-init-users) = 440 ]",
    },
    {
      what: "a sudo rule for a number",
      tamper: "echo '#33 ALL=(ALL) ALL' >> /etc/sudoers",
      found: ['sudo rule "#33 ALL=(ALL) ALL" in /etc/sudoers'],
      after: "visudo --check --quiet; [ $(stat --format %a /etc/sudoers) = 440 ]",
    },
    {
      what: "a file that sshd reads before ours",
      tamper: "echo 'PermitRootLogin yes' > /etc/ssh/sshd_config.d/00-open.conf",
      found: [
        "sshd file /etc/ssh/sshd_config.d/00-open.conf",
        "sshd setting permitrootlogin is yes instead of no",
      ],
      after: "! test -e /etc/ssh/sshd_config.d/00-open.conf",
    },
    {
      what: "a file for sshd that changes nothing yet",
      tamper: "echo '# later' > /etc/ssh/sshd_config.d/99-later.conf",
      found: ["sshd file /etc/ssh/sshd_config.d/99-later.conf"],
    },
    {
      what: "keys in another file for one user",
      tamper:
        "printf 'Match User debian\\n  AuthorizedKeysFile /etc/x\\n' > /etc/ssh/sshd_config.d/99-keys.conf",
      found: [
        "sshd file /etc/ssh/sshd_config.d/99-keys.conf",
        "sshd setting authorizedkeysfile is /etc/x instead of .ssh/authorized_keys .ssh/authorized_keys2 for debian from 192.0.2.1",
      ],
    },
    {
      what: "a command for whoever comes from an administrator's network",
      tamper: "printf 'Match Address 198.51.100.0/24\\n  ForceCommand /bin/false\\n' >> /etc/ssh/sshd_config",
      found: ["sshd setting forcecommand is /bin/false instead of none for root from 198.51.100.0"],
    },
    {
      what: "a setting of sshd's that is not ours",
      tamper: "echo 'PermitUserEnvironment yes' >> /etc/ssh/sshd_config",
      found: ["sshd setting permituserenvironment is yes instead of no"],
      after: "! grep --quiet '^PermitUserEnvironment' /etc/ssh/sshd_config",
    },
    {
      what: "what sudo asks of everybody",
      tamper: "echo 'Defaults !authenticate' > /etc/sudoers.d/zz",
      found: ['sudo rule "Defaults !authenticate" in /etc/sudoers.d/zz'],
      after: "! test -e /etc/sudoers.d/zz",
    },
    {
      what: "a person without a shell",
      tamper: "useradd --create-home --shell /usr/sbin/nologin mallory",
      found: ["account mallory with the shell /usr/sbin/nologin"],
    },
    {
      what: "sshd's own file without the line that reads ours",
      tamper: "sed -i 's/^Include/#Include/; $a PasswordAuthentication yes' /etc/ssh/sshd_config",
      found: ["sshd setting allowusers is not there instead of debian alice"],
      beside: /^sshd setting /,
    },
    {
      what: "passwords for some, in a block",
      tamper: "printf 'Match User root\\n  PasswordAuthentication yes\\n' >> /etc/ssh/sshd_config",
      found: ["sshd setting passwordauthentication is yes instead of no for root from 192.0.2.1"],
    },
  ],
  files: [
    {
      what: "a file in cron.d",
      tamper: "echo '* * * * * root true' > /etc/cron.d/evil",
      found: ["cron entry /etc/cron.d/evil"],
    },
    {
      what: "a file in cron.d that bears an old date",
      tamper: "echo '* * * * * root true' > /etc/cron.d/old; touch --date 2020-01-01 /etc/cron.d/old",
      found: ["cron entry /etc/cron.d/old"],
    },
    {
      what: "root's crontab",
      tamper: "echo '* * * * * true' | crontab -",
      found: ["cron entry /var/spool/cron/crontabs/root"],
    },
    {
      what: "a line in the system's crontab",
      tamper: "echo '* * * * * root true' >> /etc/crontab",
      found: ["edited file of a package /etc/crontab"],
      after: "! grep --quiet 'root true' /etc/crontab",
    },
    {
      what: "a unit that runs",
      tamper:
        "printf '[Service]\\nExecStart=/bin/sleep 998\\n[Install]\\nWantedBy=multi-user.target\\n' > /etc/systemd/system/evil.service; systemctl enable --now --quiet evil.service",
      found: ["unit /etc/systemd/system/evil.service"],
      after: "! pgrep --full 'sleep 998'; ! test -L /etc/systemd/system/multi-user.target.wants/evil.service",
    },
    {
      what: "a timer with its service",
      tamper:
        "printf '[Timer]\\nOnBootSec=1h\\n' > /etc/systemd/system/evil.timer; printf '[Service]\\nExecStart=/bin/true\\n' > /etc/systemd/system/evil.service; systemctl start evil.timer",
      found: ["timer /etc/systemd/system/evil.timer", "unit /etc/systemd/system/evil.service"],
      after: "! systemctl is-active evil.timer",
    },
    {
      what: "an override of a unit that runs under it",
      tamper:
        "mkdir -p /etc/systemd/system/cron.service.d; printf '[Service]\\nEnvironment=EVIL=1\\n' > /etc/systemd/system/cron.service.d/evil.conf; systemctl daemon-reload; systemctl restart cron.service",
      found: ["override /etc/systemd/system/cron.service.d/evil.conf"],
      after:
        "! grep EVIL /proc/$(systemctl show --property MainPID --value cron.service)/environ; systemctl is-active cron.service",
    },
    {
      what: "a timer that lives until the reboot",
      tamper: "systemd-run --quiet --unit=fleeting --on-active=1h /bin/true",
      found: ["transient timer fleeting.timer"],
      after: "! systemctl is-active fleeting.timer",
    },
    {
      what: "a timer that has only the name of a guard",
      tamper:
        "systemd-run --quiet --unit=technicia-guard-evil --on-active=1h /bin/true; touch --date '1 hour ago' /run/systemd/transient/technicia-guard-evil.timer",
      found: ["transient timer technicia-guard-evil.timer"],
      after: "! systemctl is-active technicia-guard-evil.timer",
    },
    {
      what: "a masked timer of a package",
      tamper: "systemctl mask --quiet apt-daily.timer",
      found: ["mask /etc/systemd/system/apt-daily.timer"],
      after: "systemctl cat apt-daily.timer >/dev/null",
    },
    {
      what: "a unit of a package, edited where the package put it",
      tamper: "echo '# evil' >> /usr/lib/systemd/system/cron.service",
      found: ["edited file of a package /usr/lib/systemd/system/cron.service"],
      after: "! grep --quiet evil /usr/lib/systemd/system/cron.service",
    },
    {
      what: "kernel settings in a file",
      tamper: "echo 'net.core.somaxconn = 64' > /etc/sysctl.d/99-evil.conf",
      found: ["kernel settings /etc/sysctl.d/99-evil.conf"],
    },
    {
      what: "a kernel setting in force",
      tamper: "sysctl --quiet --write net.core.somaxconn=64",
      found: ["kernel setting net.core.somaxconn is 64 instead of 4096"],
    },
    {
      what: "a private key that others may read",
      tamper:
        "mkdir -p /opt/technicia/gateway/tls; touch /opt/technicia/gateway/tls/privkey.pem; chmod 0644 /opt/technicia/gateway/tls/privkey.pem",
      found: ["secret of mode 0644, which others may read, /opt/technicia/gateway/tls/privkey.pem"],
      after: "[ $(stat --format %a /opt/technicia/gateway/tls/privkey.pem) = 600 ]",
    },
    {
      what: "a program of ours that others may change, and one of another owner",
      tamper:
        "mkdir -p /opt/technicia/bin; touch /opt/technicia/bin/certificate /opt/technicia/bin/gateway-reload; chmod 0777 /opt/technicia/bin/certificate; chown debian /opt/technicia/bin/gateway-reload",
      found: [
        "file of debian and mode 0644, which others than root may change, /opt/technicia/bin/gateway-reload",
        "file of root and mode 0777, which others than root may change, /opt/technicia/bin/certificate",
      ],
      after: "[ $(stat --format %a%U /opt/technicia/bin/certificate) = 755root ]",
    },
    {
      what: "copies of data that others may read, which are not ours but the data's owners'",
      tamper:
        "mkdir -p /var/lib/technicia/backup/staging; touch /var/lib/technicia/backup/staging/database.sqlite; chown debian /var/lib/technicia/backup/staging/database.sqlite; chmod 0755 /var/lib/technicia/backup",
      found: ["secret of mode 0755, which others may read, /var/lib/technicia/backup"],
      after:
        "[ $(stat --format %a /var/lib/technicia/backup)$(stat --format %U /var/lib/technicia/backup/staging/database.sqlite) = 700debian ]",
    },
    {
      what: "passwords that others may read",
      tamper: "chmod 0644 /etc/shadow",
      found: ["secret of mode 0644, which others may read, /etc/shadow"],
      after: "[ $(stat --format %a /etc/shadow) = 640 ]",
    },
    {
      what: "a unit of a package with a false date, edited",
      tamper:
        "echo '# evil' >> /usr/lib/systemd/system/cron.service; touch --date 2020-01-01 /usr/lib/systemd/system/cron.service",
      found: ["edited file of a package /usr/lib/systemd/system/cron.service"],
    },
    {
      what: "what every program loads",
      tamper: "echo /tmp/evil.so > /etc/ld.so.preload",
      found: ["file /etc/ld.so.preload"],
    },
  ],
  ports: [
    {
      what: "a process that listens on every address",
      tamper:
        "setsid python3 -m http.server 4444 >/dev/null 2>&1 & until ss -lnt | grep -q :4444; do sleep 0.1; done",
      found: ["listener tcp 0.0.0.0:4444 by python3.11"],
    },
    {
      what: "a process that listens for datagrams",
      tamper: `${PYTHON} "import socket,time;s=socket.socket(socket.AF_INET6,socket.SOCK_DGRAM);s.bind(('::',9999));time.sleep(999)" >/dev/null 2>&1 & until ss -lnu | grep -q :9999; do sleep 0.1; done`,
      found: ["listener udp *:9999 by python3.11"],
    },
    {
      what: "a process on the loopback that does not end when asked",
      tamper: `${PYTHON} "import signal,socket,time;signal.signal(15,signal.SIG_IGN);s=socket.create_server(('127.0.0.1',4446));time.sleep(999)" >/dev/null 2>&1 & until ss -lnt | grep -q :4446; do sleep 0.1; done`,
      found: ["listener tcp 127.0.0.1:4446 by python3.11"],
    },
    {
      what: "a service",
      tamper:
        "systemd-run --quiet --unit=listening python3 -m http.server 4447; until ss -lnt | grep -q :4447; do sleep 0.1; done",
      found: ["listener tcp 0.0.0.0:4447 by python3.11 of listening.service"],
      after: "! systemctl is-active listening.service",
    },
    {
      what: "a socket for which systemd listens",
      tamper:
        "systemd-run --quiet --unit=waiting --socket-property=ListenStream=4448 --socket-property=Accept=no /bin/true; until ss -lnt | grep -q :4448; do sleep 0.1; done",
      found: [/^listener tcp \*:4448 by systemd( of init\.scope)?$/],
    },
    {
      what: "another port of sshd's",
      tamper: "/usr/sbin/sshd -p 2223; until ss -lnt | grep -q :2223; do sleep 0.1; done",
      found: ["listener tcp 0.0.0.0:2223 by sshd", "listener tcp [::]:2223 by sshd"],
      after: "systemctl is-active ssh.service; [[ $(ss -lnt) == *':22 '* ]]",
    },
  ],
  rules: [
    {
      what: "a rule that accepts",
      tamper: "iptables --insert INPUT --protocol tcp --dport 4444 --jump ACCEPT",
      found: ["rule tcp dport 4444 counter accept in ip filter INPUT"],
    },
    {
      what: "a rule of IPv6 that accepts",
      tamper: "ip6tables --insert INPUT --protocol tcp --dport 4444 --jump ACCEPT",
      found: ["rule tcp dport 4444 counter accept in ip6 filter INPUT"],
    },
    {
      what: "a rule that accepts before Docker's",
      tamper: "iptables --insert DOCKER-USER --jump ACCEPT",
      found: ["rule counter accept in ip filter DOCKER-USER"],
      after: "[[ $(nft list chain ip filter DOCKER-USER) == *return* ]]",
    },
    {
      what: "a chain, and the way to it",
      tamper:
        "iptables --new-chain ROGUE; iptables --append ROGUE --jump ACCEPT; iptables --insert FORWARD --jump ROGUE",
      found: ["chain ROGUE of ip filter", "rule counter jump ROGUE in ip filter FORWARD"],
    },
    {
      what: "a table that accepts before ours",
      tamper:
        "nft 'add table inet evil; add chain inet evil input { type filter hook input priority -10; }; add rule inet evil input tcp dport 4444 accept'",
      found: ["table inet evil of nftables"],
    },
    {
      what: "a port turned towards another",
      tamper:
        "iptables --table nat --append PREROUTING --protocol tcp --dport 4444 --jump REDIRECT --to-ports 22",
      found: [/^rule tcp dport 4444 counter redirect to :22 in ip nat PREROUTING$/],
    },
  ],
  containers: [
    {
      what: "a container",
      tamper: "docker run --detach --name rogue --publish 8081:80 --entrypoint sleep tiny:1 9999",
      found: ["container rogue of tiny:1"],
    },
    {
      what: "a container that only lies there",
      tamper:
        "docker create --name rogue --volume /opt/technicia/data:/data tiny:1 true; docker run --name spent --publish 1:1 --entrypoint sleep tiny:1 0",
      found: ["container spent of tiny:1"],
      after: "docker container rm rogue",
    },
    {
      what: "a service with all it uses",
      tamper:
        "docker network create --driver overlay roguenet; echo x | docker secret create roguesecret -; echo x | docker config create rogueconfig -; docker service create --quiet --detach --name rogue --no-resolve-image --network roguenet --secret roguesecret --config rogueconfig --entrypoint sleep tiny:1 9999",
      found: ["config rogueconfig", "network roguenet", "secret roguesecret", "service rogue of tiny:1"],
    },
    {
      what: "a network that a declared container has joined",
      tamper: "docker network create roguenet; docker network connect roguenet technicia-tunnel",
      found: ["network roguenet"],
      after: "[ $(docker container inspect --format '{{.State.Running}}' technicia-tunnel) = true ]",
    },
  ],
};

/** What a person has to judge: nothing is taken away. `undo` is what that person types. */
const SYSTEM: readonly {
  readonly what: string;
  readonly tamper: string;
  readonly found: readonly string[];
  readonly undo: string;
}[] = [
  ...[
    "/etc/apt/sources.list.d/evil.list",
    "/etc/apt/apt.conf.d/99evil",
    "/usr/local/share/ca-certificates/evil.crt",
    "/etc/profile.d/x.sh",
    "/etc/cloud/cloud.cfg.d/99-evil.cfg",
    "/etc/ld.so.conf.d/evil.conf",
    "/etc/udev/rules.d/99-evil.rules",
    "/etc/modprobe.d/evil.conf",
    "/etc/modules-load.d/evil.conf",
    "/etc/pam.d/evil",
    "/etc/update-motd.d/99-evil",
    "/etc/logrotate.d/evil",
    "/etc/network/if-up.d/evil",
    "/etc/environment.d/evil.conf",
    "/etc/docker/evil.json",
    "/usr/lib/udev/rules.d/99-evil.rules",
    "/usr/lib/tmpfiles.d/evil.conf",
    "/usr/lib/python3/dist-packages/evil.pth",
    "/usr/local/bin/sudo",
    "/usr/bin/evil",
    "/opt/technicia/bin/evil",
    "/root/.bash_login",
    "/root/.ssh/rc",
    "/home/debian/.ssh/rc",
    "/home/debian/.ssh/environment",
    "/home/debian/.profile.d",
    "/home/debian/.config/systemd/user/evil.service",
    "/home/alice/.bash_login",
    "/var/lib/systemd/linger/debian",
  ].map((path) => ({
    what: `a file ${path}`,
    tamper: `mkdir -p ${path.replace(/[^/]*$/, "")}; echo true > ${path}`,
    found: [`stray file ${path}`],
    undo: `rm ${path}`,
  })),
  ...["/etc/pam.d/sshd", "/etc/bash.bashrc", "/usr/sbin/cron", "/usr/bin/python3.11"].map((path) => ({
    what: `a changed ${path}`,
    // By a rename: a program that runs can be replaced, and not written.
    tamper: `cp --archive ${path} /root/kept; cp --archive ${path} /root/changed; echo '# evil' >> /root/changed; touch --date 2020-01-01 /root/changed; mv /root/changed ${path}`,
    found: [`changed file ${path}`],
    undo: `mv /root/kept ${path}`,
  })),
  ...[
    "/etc/nsswitch.conf",
    "/etc/pam.d/common-auth",
    "/etc/hosts",
    "/etc/shells",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/locale.gen",
    "/etc/ld.so.cache",
  ].map((path) => ({
    what: `a line too many in ${path}, which a program writes`,
    tamper: `cp --archive ${path} /root/kept; printf '203.0.113.9 registry.example\\n-----BEGIN CERTIFICATE-----\\nMIIB\\n-----END CERTIFICATE-----\\n' >> ${path}`,
    found: [`stray file ${path}`],
    undo: `cat /root/kept > ${path}; rm /root/kept`,
  })),
  {
    what: "a link to a program of nobody's",
    tamper: "echo true > /tmp/evil; ln -s /tmp/evil /etc/profile.d/link.sh",
    found: ["stray link /etc/profile.d/link.sh"],
    undo: "rm /etc/profile.d/link.sh /tmp/evil",
  },
  {
    what: "an authority that the bundle names",
    tamper:
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 9 -subj /CN=evil -keyout /tmp/k -out /etc/ssl/certs/evil.pem 2>/dev/null; rm /tmp/k",
    found: ["stray file /etc/ssl/certs/evil.pem"],
    undo: "rm /etc/ssl/certs/evil.pem",
  },
  {
    what: "a shell that makes its caller root",
    tamper: "cp /bin/dash /usr/local/bin/shell; chmod 4755 /usr/local/bin/shell",
    found: ["setuid or setgid file /usr/local/bin/shell", "stray file /usr/local/bin/shell"],
    undo: "rm /usr/local/bin/shell",
  },
  {
    what: "a program of a package that makes its caller root",
    tamper: "chmod u+s /usr/bin/find",
    found: ["setuid or setgid file /usr/bin/find"],
    undo: "chmod u-s /usr/bin/find",
  },
  {
    what: "a shell in a folder for everybody",
    tamper: "cp /bin/dash /var/tmp/.x; chmod 4755 /var/tmp/.x",
    found: ["setuid or setgid file /var/tmp/.x"],
    undo: "rm /var/tmp/.x",
  },
  {
    what: "a program with rights of its own",
    tamper: "cp /bin/cat /home/debian/cat; setcap cap_dac_read_search=ep /home/debian/cat",
    found: ["capability file /home/debian/cat"],
    undo: "rm /home/debian/cat",
  },
  {
    what: "settings that everybody may change",
    tamper: "chmod o+w /etc/bash.bashrc",
    found: ["file of mode 0646, which everybody may change, /etc/bash.bashrc"],
    undo: "chmod o-w /etc/bash.bashrc",
  },
  {
    what: "an account and a group of no package",
    tamper:
      "useradd --system --shell /usr/sbin/nologin evild; useradd --non-unique --uid 0 --shell /bin/bash evilroot; groupadd evilers; gpasswd -a www-data evilers",
    found: ["account evild of no package", "group evilers of no package"],
    undo: "userdel --force evilroot; userdel evild; groupdel evilers; groupdel evild 2>/dev/null || true",
  },
  {
    what: "a renewal with another authority and a hook",
    tamper: `mkdir -p /etc/technicia /opt/technicia/letsencrypt/renewal; printf "DOMAINS='a.example b.example'\\nDIRECTORY='https://acme.example/directory'\\nKEY_TYPE='ecdsa'\\nLETSENCRYPT='/opt/technicia/letsencrypt'\\n" > /etc/technicia/certificate.env
printf 'version = 2.1.0\\narchive_dir = /etc/letsencrypt/archive/a.example\\ncert = /etc/letsencrypt/live/a.example/cert.pem\\n[renewalparams]\\naccount = 0123abc\\nauthenticator = webroot\\nwebroot_path = /var/www/acme,\\nserver = https://other.example/directory\\nkey_type = ecdsa\\nrenew_hook = /bin/evil\\n[[webroot_map]]\\na.example = /var/www/acme\\nb.example = /var/www/acme\\n[acme_renewal_info]\\nari_retry_after = 2026-07-05T09:11:19\\n' > /opt/technicia/letsencrypt/renewal/a.example.conf; mkdir -p /opt/technicia/letsencrypt/renewal-hooks/deploy; echo true > /opt/technicia/letsencrypt/renewal-hooks/deploy/evil`,
    found: [
      "renewal of the certificate by renew_hook = /bin/evil",
      "renewal of the certificate by server = https://other.example/directory",
      "stray file /opt/technicia/letsencrypt/renewal-hooks/deploy/evil",
    ],
    undo: "rm /opt/technicia/letsencrypt/renewal-hooks/deploy/evil /etc/technicia/certificate.env /opt/technicia/letsencrypt/renewal/a.example.conf",
  },
];

describe("the set system", () => {
  it.each(SYSTEM)("finds $what, and leaves it to a person", async ({ tamper, found, undo }) => {
    await host.exec(tamper);

    expect(await observed("system")).toEqual(found);
    const { code, stderr } = await host.tryExec(withVariables(scripts("system"), scripts("system").apply));
    expect(code).toBe(1);
    expect(stderr).toContain(found[0]);
    expect(stderr).toContain("technicia:server.files");

    await host.exec(undo);
    expect(await observed("system")).toEqual([NOTHING_EXTRA]);
  });

  it("does not report what the settings leave to their owner", async () => {
    await host.exec("mkdir -p /etc/ours.d; touch /etc/profile.d/ours.sh /etc/ours.d/one");

    expect(await observed("system")).toEqual([NOTHING_EXTRA]);
  });

  it("does not report what packages and their programs write", async () => {
    await host.exec(`export DEBIAN_FRONTEND=noninteractive
apt-get install --yes --quiet --no-install-recommends chrony screen at man-db console-setup mime-support
apt-get install --yes --quiet --reinstall ca-certificates sudo openssh-server libpam-runtime base-files locales
pam-auth-update --package; update-ca-certificates --fresh; dpkg-reconfigure locales; ldconfig
apt-get purge --yes --quiet chrony`);

    for (const set of ["system", "files", "access"]) expect(await observed(set)).toEqual([NOTHING_EXTRA]);
  });

  it("compares settings with the package that has them now, and not with one that is gone", async () => {
    await host.exec(`cd "$(mktemp --directory)"
for name in equipe.io equipe; do
  mkdir -p "$name/DEBIAN" "$name/etc"
  printf 'Package: %s\\nVersion: 1\\nArchitecture: all\\nMaintainer: Equipe <equipe@technicia.example>\\nDescription: settings\\n' "$name" >"$name/DEBIAN/control"
  echo /etc/equipe.conf >"$name/DEBIAN/conffiles"
  echo "of $name" >"$name/etc/equipe.conf"
  dpkg-deb --root-owner-group --build "$name" "$name.deb"
done
dpkg --install equipe.io.deb
dpkg --remove equipe.io
dpkg --install equipe.deb
grep --quiet --line-regexp 'of equipe' /etc/equipe.conf`);

    expect(await observed("system")).toEqual([NOTHING_EXTRA]);
    await host.exec("dpkg --purge equipe equipe.io");
  });

  it("finds a file whose date was made older than the first boot", async () => {
    // Only a change of the clock does that on a server; a record that no longer fits stands for it.
    await host.exec(
      "sed --in-place '/ .etc.ssh.ssh_host_ed25519_key.pub$/s/^./x/' /var/lib/technicia/compared/system.first-boot",
    );

    expect(await observed("system")).toEqual(["changed file /etc/ssh/ssh_host_ed25519_key.pub"]);
    await host.exec("rm /var/lib/technicia/compared/system*");
    await apply("system");
    expect(await observed("system")).toEqual([NOTHING_EXTRA]);
  });
});

describe.each(SETS.filter((set) => set !== "system"))("the set %s", (set) => {
  it.each(CASES[set] ?? [])(
    "finds $what, takes it away and is quiet again",
    async ({ tamper, found, beside, after }) => {
      await host.exec(tamper);
      await until("the tampering is seen", async () => (await observed(set))[0] !== NOTHING_EXTRA);
      const seen = await observed(set);
      const main =
        beside === undefined ? seen : seen.filter((line) => !beside.test(line) || found.includes(line));
      expect(main).toEqual(
        found.map((line) => (typeof line === "string" ? line : (expect.stringMatching(line) as string))),
      );

      const said = await apply(set);
      expect(said).toContain(`removing: ${seen[0] ?? ""}`);
      expect(await observed(set)).toEqual([NOTHING_EXTRA]);
      expect(await apply(set)).toBe("");
      if (after !== undefined) await host.exec(after);
      for (const other of SETS) expect(await observed(other)).toEqual([NOTHING_EXTRA]);
    },
  );
});

describe("the set access", () => {
  it("keeps the file by which the login user becomes root, removes the rest, and says why", async () => {
    await host.exec(`mv /etc/sudoers.d/90-cloud-init-users /etc/sudoers.d/10-other
      useradd --create-home --shell /bin/bash zoe`);

    expect(await observed("access")).toEqual([
      "account zoe with the shell /bin/bash",
      "sudo file /etc/sudoers.d/10-other",
    ]);
    const { code, stderr } = await host.tryExec(withVariables(scripts("access"), scripts("access").apply));
    expect(code).toBe(1);
    expect(stderr).toContain(
      "expected debian to become root without /etc/sudoers.d/10-other, got a refusal; the file is kept",
    );
    expect(await observed("access")).toEqual(["sudo file /etc/sudoers.d/10-other"]);

    await host.exec(`runuser -u debian -- sudo -n true
      mv /etc/sudoers.d/10-other /etc/sudoers.d/90-cloud-init-users`);
    expect(await observed("access")).toEqual([NOTHING_EXTRA]);
  });
});

describe("the set ports", () => {
  it("does not report a client that waits for an answer as a listener", async () => {
    await host.exec(
      "timeout 1.5 python3 -c 'import socket, time; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind((\"\", 55524)); time.sleep(9)' >/dev/null 2>&1 & " +
        "until ss -lnu | grep -q :55524; do sleep 0.1; done",
    );

    expect(await observed("ports")).toEqual([NOTHING_EXTRA]);
  });
});
