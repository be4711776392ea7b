/**
 * Ways in which somebody changes a deployed environment from outside, and what a check has to say of it.
 *
 * On the server a command is bash run as root; at a vendor it is a call to the fake clouds' management port, in which `{vps}` is the server's
 * name and `{A test.technicia.example}` the id of that record.
 *
 * Not here: the login user taken out of the group docker, which an ssh connection that is open already does not notice; its keys made
 * writable for others, after which sshd lets nobody in and a check says so; the hostname, which nothing declares; fail2ban, which is not installed; a deleted data volume, whose repair is a restored backup.
 */
import { basename } from "node:path";

import type { Layer } from "../../stacks/resource-kinds.ts";
import { MONITORING } from "./monitoring-drifts.ts";
import { WORKFLOWS } from "./workflow-drifts.ts";

export interface Drift {
  readonly name: string;
  readonly layer: Layer;
  readonly tamper: { readonly where: "server" | "ovh" | "cloudflare" | "docker"; readonly command: string };

  /**
   * What must be found, and nothing else, as `layer resource: what: expected → found`: each pattern fits one finding at least, and
   * each finding fits one pattern.
   */
  readonly expect: readonly RegExp[];

  /** Whether it, or its repair, disturbs what another drift changes: it restarts dockerd, or takes away what others stand on. */
  readonly alone?: true;

  /** What a person types on the server, where no repair does it. */
  readonly byHand?: string;
}

const DOMAIN = "test.technicia.example";
const IPV4 = "198.18.113.10";
const KEY =
  "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f mallory@example";
// Whatever image is there: the name under which it was pulled may hold a digest only.
const ANY_IMAGE = "$(docker image ls --quiet | head --lines 1)";
const VECTOR_STORE = "technicia-vector-store";
const EXTRA = "nothing beside what is declared";

function onServer(layer: Layer, name: string, command: string, ...expect: RegExp[]): Drift {
  return { name, layer, tamper: { where: "server", command }, expect };
}

function inDocker(layer: Layer, name: string, command: string, ...expect: RegExp[]): Drift {
  return { name, layer, tamper: { where: "docker", command }, expect };
}

function atOvh(layer: Layer, name: string, command: string, ...expect: RegExp[]): Drift {
  return { name, layer, tamper: { where: "ovh", command }, expect };
}

function atCloudflare(layer: Layer, name: string, command: string, ...expect: RegExp[]): Drift {
  return { name, layer, tamper: { where: "cloudflare", command }, expect };
}

const CLOUD: readonly Drift[] = [
  atOvh(
    "cloud",
    "the edge firewall is switched off",
    `PATCH /ovh/ip/${IPV4}/firewall {"enabled":false}`,
    /^cloud edge-firewall-rules: enabled: true → false$/,
  ),
  atOvh(
    "cloud",
    "the edge firewall admits one port more",
    `PUT /ovh/ip/${IPV4}/firewall/rule/10 {"action":"permit","protocol":"tcp","destinationPort":4444}`,
    /^cloud edge-firewall-rules: rule 10: nothing → permit tcp port 4444$/,
  ),
  atOvh(
    "cloud",
    "the edge firewall no longer admits https",
    `DELETE /ovh/ip/${IPV4}/firewall/rule/3`,
    /^cloud edge-firewall-rules: rule 3: permit tcp port 443 → nothing$/,
  ),
  atOvh(
    "cloud",
    "the edge firewall admits everybody to ssh",
    `PUT /ovh/ip/${IPV4}/firewall/rule/1 {"source":null}`,
    /^cloud edge-firewall-rules: rule 1: permit tcp port 22 from \S+ → permit tcp port 22$/,
  ),
  atOvh(
    "cloud",
    "the server bears another name in OVH's console",
    `PATCH /ovh/vps/{vps} {"displayName":"mine"}`,
    /^cloud vps-server: name: technicia-test → mine$/,
  ),
];

const DNS: readonly Drift[] = [
  atCloudflare(
    "dns",
    "the A record leads elsewhere",
    `PATCH /cloudflare/zone/technicia.example/record/{A ${DOMAIN}} {"content":"203.0.113.66"}`,
    /^dns dns-test-a: content: 198\.18\.113\.10 → 203\.0\.113\.66$/,
  ),
  atCloudflare(
    "dns",
    "the CAA record is gone",
    `DELETE /cloudflare/zone/technicia.example/record/{CAA ${DOMAIN}}`,
    /^dns dns-caa-letsencrypt\.org: DNS record: there → not there$/,
  ),
  atCloudflare(
    "dns",
    "the A record is proxied",
    `PATCH /cloudflare/zone/technicia.example/record/{A ${DOMAIN}} {"proxied":true,"ttl":1}`,
    /^dns dns-test-a: (proxied|ttl): /,
  ),
  atCloudflare(
    "dns",
    "another authority may issue for our name",
    `POST /cloudflare/zone/technicia.example/record {"type":"CAA","name":"${DOMAIN}","data":{"flags":0,"tag":"issue","value":"mallory.example"},"ttl":300}`,
    /^dns test\.technicia\.example: CAA record that nobody declared: .* → CAA 0 issue "mallory\.example"$/,
  ),
  atCloudflare(
    "dns",
    "a second A record stands beside ours",
    `POST /cloudflare/zone/technicia.example/record {"type":"A","name":"${DOMAIN}","content":"203.0.113.66","ttl":300}`,
    /^dns test\.technicia\.example: A record that nobody declared: .* → A 203\.0\.113\.66$/,
  ),
  atOvh(
    "dns",
    "the reverse name is another",
    `PATCH /ovh/reverse {"${IPV4}":"vps-mallory.example."}`,
    /^dns dns-reverse-v4: ReverseValue: test\.technicia\.example\. → vps-mallory\.example\.$/,
  ),
];

const FILES: readonly Drift[] = [
  onServer(
    "host",
    "dockerd's settings are edited",
    "sed --in-place 's/10m/90m/' /etc/docker/daemon.json",
    /^host host-docker-settings: content: .*10m.* → .*90m/,
  ),
  onServer(
    "host",
    "dockerd's settings are gone",
    "rm /etc/docker/daemon.json",
    /^host host-docker-settings: file on the host: there → not there$/,
  ),
  onServer(
    "host",
    "the kernel's settings are edited",
    "sed --in-place 's/^vm.swappiness.*/vm.swappiness = 60/' /etc/sysctl.d/60-technicia.conf",
    /^host host-sysctl: content: vm\.swappiness = 10 → vm\.swappiness = 60$/,
  ),
  onServer(
    "host",
    "the journal's limit is gone",
    "rm /etc/systemd/journald.conf.d/10-technicia.conf",
    /^host host-journal: file on the host: there → not there$/,
  ),
  onServer(
    "host",
    "upgrades may restart the server",
    `sed --in-place 's/Automatic-Reboot "false"/Automatic-Reboot "true"/' /etc/apt/apt.conf.d/52technicia-upgrades`,
    /^host host-upgrades: content: .*"false".* → .*"true"/,
  ),
  onServer(
    "host",
    "sshd admits passwords",
    "sed --in-place 's/^PasswordAuthentication no/PasswordAuthentication yes/' /etc/ssh/sshd_config.d/10-technicia.conf; systemctl reload ssh.service",
    /^host host-sshd: content: PasswordAuthentication no → PasswordAuthentication yes$/,
    /^host extra-access: sshd setting passwordauthentication is yes instead of no: /,
  ),
  onServer(
    "host",
    "a file that sshd reads before ours admits root",
    "echo 'PermitRootLogin yes' > /etc/ssh/sshd_config.d/00-open.conf; systemctl reload ssh.service",
    /^host extra-access: sshd file \/etc\/ssh\/sshd_config\.d\/00-open\.conf: /,
    /^host extra-access: sshd setting permitrootlogin is yes instead of no: /,
  ),
  onServer(
    "host",
    "the firewall's file opens a port, and nobody loaded it yet",
    "sed --in-place 's/{ 80, 443 } accept/{ 80, 443, 4444 } accept/' /etc/technicia/firewall.nft",
    /^host host-firewall-table: content: .*\{ 80, 443 \} accept → .*\{ 80, 443, 4444 \} accept$/,
    /^host host-firewall-loaded: host firewall loaded: the loaded table is the file's → the loaded table differs/,
  ),
  onServer(
    "host",
    "the firewall's unit does nothing",
    "sed --in-place 's#^ExecStart=.*#ExecStart=/bin/true#' /etc/systemd/system/technicia-firewall.service; systemctl daemon-reload",
    /^host host-firewall-unit-file: content: ExecStart=.*nft.* → ExecStart=\/bin\/true$/,
  ),
];

const BACKUPS: readonly Drift[] = [
  onServer(
    "data",
    "no set of backups is made any more",
    "systemctl disable --now technicia-backup.timer",
    /^data backup-schedule: (active|enabled): true → false$/,
  ),
  onServer(
    "data",
    "backups are made once a year",
    "sed --in-place 's/^OnCalendar=.*/OnCalendar=yearly/' /etc/systemd/system/technicia-backup.timer; systemctl daemon-reload",
    /^data backup-timer: content: OnCalendar=.* → OnCalendar=yearly$/,
  ),
  onServer(
    "data",
    "the program of the backups leaves the database out",
    `sed --in-place '/^    ("n8n", n8n.take),$/d' /opt/technicia/backup/sets.py`,
    /^data backup-program-sets: content: .*n8n\.take.* → nothing$/,
  ),
  onServer(
    "data",
    "the sets go somewhere else",
    `sed --in-place 's#"s3:https://[^/]*/#"s3:https://s3.example/#' /etc/technicia/backup.json`,
    /^data backup-settings: content: .* → .*s3\.example/,
  ),
  onServer(
    "data",
    "the key of the backups is another one",
    "printf '[default]\\naws_access_key_id = a\\naws_secret_access_key = b\\n' > /etc/technicia/backup/writer",
    /^data backup-writer: content: /,
  ),
];

const ACCESS: readonly Drift[] = [
  onServer(
    "host",
    "the login user accepts one key more",
    `echo '${KEY}' >> /home/debian/.ssh/authorized_keys`,
    /^host host-login-keys: content: nothing → ssh-ed25519 .* mallory@example$/,
  ),
  onServer(
    "host",
    "everybody may read the login user's keys",
    "chmod 0644 /home/debian/.ssh/authorized_keys",
    /^host host-login-keys: mode: 0600 → 0644$/,
  ),
  onServer(
    "host",
    "root accepts a key",
    `mkdir --parents --mode 0700 /root/.ssh; echo '${KEY}' >> /root/.ssh/authorized_keys`,
    /^host extra-access: key SHA256:\S+ mallory@example in \/root\/\.ssh\/authorized_keys: /,
  ),
  onServer(
    "host",
    "somebody has an account",
    "useradd --create-home --shell /bin/bash mallory",
    /^host extra-access: account mallory with the shell \/bin\/bash: /,
  ),
  onServer(
    "host",
    "there is a second root",
    "useradd --non-unique --uid 0 --no-create-home --no-user-group toor",
    /^host extra-access: account toor with uid 0: /,
  ),
  onServer(
    "host",
    "a service account may use docker",
    "gpasswd --add www-data docker",
    /^host extra-access: member www-data of the group docker: /,
  ),
  onServer(
    "host",
    "a service account may use sudo",
    "echo 'www-data ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/web; chmod 0440 /etc/sudoers.d/web",
    /^host extra-access: sudo rule "www-data ALL=\(ALL\) NOPASSWD: ALL" in \/etc\/sudoers\.d\/web: /,
  ),
];

const SYSTEM: readonly Drift[] = [
  onServer(
    "host",
    "the clock is in another zone",
    "timedatectl set-timezone Asia/Tokyo",
    /^host host-time-zone: host time zone: Europe\/Paris → Asia\/Tokyo$/,
  ),
  onServer(
    "host",
    "nothing keeps the clock",
    "systemctl disable --now systemd-timesyncd.service",
    /^host host-clock: host clock: kept in time → left alone$/,
  ),
  onServer(
    "host",
    "nothing upgrades the system",
    "systemctl disable --now apt-daily-upgrade.timer",
    /^host host-upgrades-timer: (active|enabled): true → false$/,
  ),
  onServer(
    "host",
    "a package is gone",
    "DEBIAN_FRONTEND=noninteractive apt-get remove --yes unattended-upgrades",
    /^host host-packages: packages: unattended-upgrades → not installed$/,
  ),
  onServer(
    "host",
    "dockerd would not start at boot",
    "systemctl disable docker.service",
    /^host host-docker: enabled: true → false$/,
  ),
  onServer(
    "host",
    "the firewall would not be loaded at boot",
    "systemctl disable technicia-firewall.service",
    /^host host-firewall-unit: enabled: true → false$/,
  ),
  onServer(
    "host",
    "the distribution's firewall could be started, which would flush ours",
    "systemctl unmask nftables.service",
    /^host host-firewall-distribution-unit: masked: true → false$/,
  ),
  onServer(
    "host",
    "every rule is flushed, Docker's too",
    "nft flush ruleset",
    /^host host-firewall-loaded: host firewall loaded: the loaded table is the file's → the loaded table differs/,
    /^host host-docker-rules: host docker rules: Docker's rules are loaded → Docker's rules are gone$/,
  ),
  onServer(
    "host",
    "a kernel setting is another one",
    "sysctl --quiet --write net.core.somaxconn=64",
    /^host extra-files: kernel setting net\.core\.somaxconn is 64 instead of 4096: /,
  ),
  onServer(
    "host",
    "a file overrides the kernel's settings",
    "echo 'vm.swappiness = 90' > /etc/sysctl.d/99-mallory.conf",
    /^host extra-files: kernel settings \/etc\/sysctl\.d\/99-mallory\.conf: /,
  ),
  onServer(
    "host",
    "a unit is overridden",
    "mkdir --parents /etc/systemd/system/cron.service.d; printf '[Service]\\nEnvironment=MALLORY=1\\n' > /etc/systemd/system/cron.service.d/mallory.conf; systemctl daemon-reload",
    /^host extra-files: override \/etc\/systemd\/system\/cron\.service\.d\/mallory\.conf: /,
  ),
  onServer(
    "host",
    "a timer of the system is masked",
    "systemctl mask logrotate.timer",
    /^host extra-files: mask \/etc\/systemd\/system\/logrotate\.timer: /,
  ),
  onServer(
    "host",
    "cron starts something",
    "echo '* * * * * root true' > /etc/cron.d/mallory",
    /^host extra-files: cron entry \/etc\/cron\.d\/mallory: /,
  ),
  onServer(
    "host",
    "root has a crontab",
    "echo '* * * * * true' | crontab -",
    /^host extra-files: cron entry \/var\/spool\/cron\/crontabs\/root: /,
  ),
  onServer(
    "host",
    "a timer starts something",
    "printf '[Timer]\\nOnCalendar=hourly\\n[Install]\\nWantedBy=timers.target\\n' > /etc/systemd/system/mallory.timer; printf '[Service]\\nExecStart=/bin/true\\n' > /etc/systemd/system/mallory.service; systemctl enable --now mallory.timer",
    /^host extra-files: timer \/etc\/systemd\/system\/mallory\.timer: /,
    /^host extra-files: unit \/etc\/systemd\/system\/mallory\.service: /,
  ),
  onServer(
    "host",
    "a timer that no file holds starts something",
    "systemd-run --unit=mallory-once --on-active=1d /bin/true",
    /^host extra-files: transient timer mallory-once\.timer: /,
  ),
  onServer(
    "host",
    "something listens",
    "systemd-run --unit=mallory-listens python3 -m http.server 4444; until ss --listening --tcp --numeric | grep :4444; do sleep 0.1; done",
    /^host extra-ports: listener tcp 0\.0\.0\.0:4444 by python3\S* of mallory-listens\.service: /,
  ),
];

const NODE: readonly Drift[] = [
  // What cannot be read meanwhile is explained by it, and so is what is no longer served.
  inDocker(
    "host",
    "the Swarm's only node is drained",
    "docker node update --availability drain $(docker node inspect self --format '{{.ID}}'); until [ -z \"$(docker ps --quiet --filter label=com.docker.swarm.service.name)\" ]; do sleep 0.5; done",
    /^host host-node: host node: active, manager, labels: none → drain, manager, labels: none$/,
    /^certificate certificate-served: /,
  ),
  inDocker(
    "host",
    "the node has a label",
    "docker node update --label-add mallory=1 $(docker node inspect self --format '{{.ID}}')",
    /^host host-node: host node: active, manager, labels: none → active, manager, labels: mallory=1$/,
  ),
  onServer(
    "host",
    "a link stands in the place of a file of ours",
    "mv /etc/docker/daemon.json /tmp/mallory.json; ln --symbolic /tmp/mallory.json /etc/docker/daemon.json",
    /^host host-docker-settings: replacedBy: nothing → a symbolic link to \/tmp\/mallory\.json$/,
  ),
];

/** What only a person can judge. */
const TRUSTED: readonly Drift[] = [
  ...[
    "/etc/apt/sources.list.d/mallory.list",
    "/usr/local/share/ca-certificates/mallory.crt",
    "/etc/profile.d/mallory.sh",
    "/etc/cloud/cloud.cfg.d/99-mallory.cfg",
    "/home/debian/.ssh/rc",
    "/home/debian/.config/systemd/user/mallory.service",
    "/var/lib/systemd/linger/debian",
  ].map((path) => ({
    ...onServer(
      "host",
      `there is a file ${path}`,
      `mkdir --parents ${path.replace(/[^/]*$/, "")}; echo '# mallory' > ${path}`,
      new RegExp(`^host extra-system: stray file ${path.replaceAll(".", "\\.")}: `),
    ),
    byHand: `rm ${path}`,
  })),
  ...["/etc/hosts", "/etc/pam.d/sshd"].map((path) => ({
    ...onServer(
      "host",
      `somebody edited ${path}`,
      `cp --archive ${path} /root/${basename(path)}.kept; echo '203.0.113.9 registry.example' >> ${path}`,
      new RegExp(`^host extra-system: (stray|changed) file ${path.replaceAll(".", "\\.")}: `),
    ),
    byHand: `cat /root/${basename(path)}.kept > ${path}; rm /root/${basename(path)}.kept`,
  })),
  {
    ...onServer(
      "host",
      "a shell makes its caller root",
      "cp /bin/dash /usr/local/bin/mallory; chmod 4755 /usr/local/bin/mallory",
      /^host extra-system: setuid or setgid file \/usr\/local\/bin\/mallory: /,
      /^host extra-system: stray file \/usr\/local\/bin\/mallory: /,
    ),
    byHand: "rm /usr/local/bin/mallory",
  },
  onServer(
    "host",
    "everybody may read the gateway's private key",
    "chmod 0644 /opt/technicia/gateway/tls/privkey.pem",
    /^host extra-files: secret of mode 0644, which others may read, \/opt\/technicia\/gateway\/tls\/\S+\/privkey\.pem: /,
  ),
  onServer(
    "host",
    "another file names the login user's keys",
    "printf 'Match User debian\\n  AuthorizedKeysFile .ssh/authorized_keys /etc/mallory\\n' > /etc/ssh/sshd_config.d/99-mallory.conf; systemctl reload ssh.service",
    /^host extra-access: sshd file \/etc\/ssh\/sshd_config\.d\/99-mallory\.conf: /,
    /^host extra-access: sshd setting authorizedkeysfile is .*\/etc\/mallory instead of .* for debian from /,
  ),
];

const SPECS: readonly Drift[] = [
  ...[
    // Not one of our own names: the service would not start, and Swarm would take the change back.
    ["--host-add mallory:203.0.113.9", "TaskTemplate.ContainerSpec.Hosts has 203.0.113.9 mallory"],
    ["--dns-add 203.0.113.9", "TaskTemplate.ContainerSpec.DNSConfig.Nameservers has 203.0.113.9"],
    ["--label-add mallory=1", "Labels.mallory has 1"],
    ["--ulimit-add nofile=512:1024", "TaskTemplate.ContainerSpec.Ulimits[nofile].Hard has 1024"],
  ].map(([option = "", found = ""]) =>
    inDocker(
      "containers",
      `a service has ${option}`,
      `docker service update --detach ${option} ${VECTOR_STORE}`,
      new RegExp(`^containers extra-specs: service ${VECTOR_STORE}: ${found.replace(/[.[\]]/g, "\\$&")}: `),
      /^containers (extra-specs: service technicia-vector-store: |technicia-vector-store-service: )/,
    ),
  ),
  {
    ...inDocker(
      "containers",
      "there is a volume that nobody declared",
      "docker volume create mallory",
      /^containers extra-objects: volume mallory: /,
    ),
    byHand: "docker volume rm mallory",
  },
  {
    ...onServer(
      "data",
      "there is a collection that nobody declared",
      `curl --fail --silent --request PUT --header 'content-type: application/json' --data '{"vectors":{"size":4,"distance":"Dot"}}' http://127.0.0.1:6333/collections/mallory`,
      /^data extra-collections: collection mallory: /,
    ),
    byHand: "curl --fail --silent --request DELETE http://127.0.0.1:6333/collections/mallory",
  },
];

const RULES: readonly Drift[] = [
  onServer(
    "host",
    "our table admits one port more",
    "nft insert rule inet technicia input tcp dport 4444 accept",
    /^host host-firewall-loaded: host firewall loaded: .* → the loaded table differs from the file's:.*tcp dport 4444 accept/,
  ),
  onServer(
    "host",
    "our table is not loaded",
    "nft delete table inet technicia",
    /^host host-firewall-loaded: host firewall loaded: .* → the loaded table differs from the file's:/,
  ),
  onServer(
    "host",
    "another table admits a port",
    "nft 'add table inet mallory; add chain inet mallory input { type filter hook input priority -10; }; add rule inet mallory input tcp dport 4444 accept'",
    /^host extra-rules: table inet mallory of nftables: /,
  ),
  onServer(
    "host",
    "whatever Docker would refuse is let through",
    "iptables --insert DOCKER-USER --jump ACCEPT",
    /^host extra-rules: rule counter (packets \d+ bytes \d+ )?accept in ip filter DOCKER-USER: /,
  ),
  onServer(
    "host",
    "a chain of its own admits everything",
    "iptables --new-chain MALLORY; iptables --append MALLORY --jump ACCEPT; iptables --insert INPUT --jump MALLORY",
    /^host extra-rules: chain MALLORY of ip filter: /,
    /^host extra-rules: rule counter jump MALLORY in ip filter INPUT: /,
  ),
];

const CONTAINERS: readonly Drift[] = [
  inDocker(
    "containers",
    "a container runs that nobody declared",
    `docker run --detach --name mallory --entrypoint sleep ${ANY_IMAGE} 9999`,
    /^containers extra-containers: container mallory of /,
  ),
  inDocker(
    "containers",
    "a service runs that nobody declared",
    `docker service create --detach --name mallory --no-resolve-image --entrypoint sleep ${ANY_IMAGE} 9999`,
    /^containers extra-containers: service mallory of /,
  ),
  inDocker(
    "containers",
    "a secret is there that nobody declared",
    "echo x | docker secret create mallory -",
    /^containers extra-containers: secret mallory: /,
  ),
  inDocker(
    "containers",
    "a network is there that nobody declared",
    "docker network create mallory",
    /^containers extra-containers: network mallory: /,
  ),
  inDocker(
    "containers",
    "a service's environment is another",
    `docker service update --detach --env-add MALLORY=1 ${VECTOR_STORE}`,
    /^containers technicia-vector-store-service: env\.MALLORY: nothing → 1$/,
  ),
  inDocker(
    "containers",
    "a service has no task",
    `docker service scale --detach ${VECTOR_STORE}=0`,
    /^containers technicia-vector-store-service: mode\.replicated\.replicas: 1 → 0$/,
  ),
  inDocker(
    "containers",
    "a service runs another image",
    `docker service update --detach --image technicia/vector-store:1.0.1 ${VECTOR_STORE}`,
    /^containers technicia-vector-store-service: image: .* → .*vector-store:1\.0\.1/,
  ),
  inDocker(
    "containers",
    "a service may take more memory",
    `docker service update --detach --limit-memory 2G ${VECTOR_STORE}`,
    /^containers technicia-vector-store-service: resources\./,
  ),
  inDocker(
    "containers",
    "a service is published on the server's addresses",
    `docker service update --detach --publish-add published=8003,target=8000,mode=host ${VECTOR_STORE}`,
    /^containers technicia-vector-store-service: (endpointSpec\.|resources\.)/,
  ),
  inDocker(
    "containers",
    "a service is gone",
    `docker service rm ${VECTOR_STORE}`,
    /^containers technicia-vector-store-service: container service: there → not there$/,
  ),
  inDocker(
    "containers",
    "a service is gone with its secret",
    `docker service rm ${VECTOR_STORE}; until docker secret rm $(docker secret ls --quiet --filter name=${VECTOR_STORE}); do sleep 0.5; done`,
    /^containers technicia-vector-store-service: container service: there → not there$/,
    /^containers technicia-vector-store-voyage-api-key: container secret: there → not there$/,
  ),
  // Qdrant and n8n are read through it: both are gaps that this finding explains.
  inDocker(
    "containers",
    "the tunnel's container is stopped",
    "docker stop technicia-tunnel",
    /^containers technicia-tunnel: mustRun: true → false$/,
    /^containers technicia-tunnel: ports\[\d\]: .* → nothing$/,
  ),
  inDocker(
    "containers",
    "the tunnel's container is gone",
    "docker rm --force technicia-tunnel",
    /^containers technicia-tunnel: container: there → not there$/,
  ),
  // n8n's owner is read through the service.
  inDocker(
    "containers",
    "a network is gone with what was on it",
    `docker service rm ${VECTOR_STORE} technicia-n8n; until docker network rm technicia-app; do sleep 0.5; done`,
    /^containers technicia-vector-store-service: container service: there → not there$/,
    /^containers technicia-n8n-service: container service: there → not there$/,
    /^containers technicia-app: container network: there → not there$/,
  ),
  onServer(
    "containers",
    "the gateway's routes are edited",
    "sed --in-place '1i # by hand' /opt/technicia/gateway/nginx.conf",
    /^containers technicia-gateway-configuration: content: nothing → # by hand$/,
  ),
  onServer(
    "containers",
    "the tunnel's routes are edited",
    "sed --in-place '1i # by hand' /opt/technicia/tunnel/nginx.conf",
    /^containers technicia-tunnel-configuration: content: nothing → # by hand$/,
  ),
  onServer(
    "containers",
    "nothing can reload the gateway",
    "rm /opt/technicia/bin/gateway-reload",
    /^containers technicia-gateway-reload: file on the host: there → not there$/,
  ),
  onServer(
    "containers",
    "a second gateway is left",
    "docker service create --quiet --detach --name technicia-gateway-second --network technicia-edge --endpoint-mode dnsrr $(docker service inspect --format '{{.Spec.TaskTemplate.ContainerSpec.Image}}' technicia-gateway) sleep 9999 >/dev/null",
    /^containers technicia-gateway-handover-end: .*the gateway answers alone → a second gateway answers/,
  ),
  onServer(
    "containers",
    "everybody may look where the private key is",
    "chmod 0755 /opt/technicia/gateway/tls",
    /^containers technicia-gateway-directories: technicia gateway directories: .*tls 700.* → .*tls 755/,
  ),
];

const DATA: readonly Drift[] = [
  onServer(
    "data",
    "an index of the collection is gone",
    "curl --fail --silent --request DELETE http://127.0.0.1:6333/collections/technicia/index/document_id",
    /^data qdrant-collection: qdrant collection: .*document_id.* → (?!.*document_id)/,
  ),
  onServer(
    "data",
    "the collection is gone",
    "curl --fail --silent --request DELETE http://127.0.0.1:6333/collections/technicia",
    /^data qdrant-collection: state of the host: there → not there$/,
  ),
];

const CERTIFICATE: readonly Drift[] = [
  onServer(
    "certificate",
    "the gateway presents the placeholder",
    `cd /opt/technicia/gateway/tls; openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=placeholder.invalid -keyout privkey.pem -out fullchain.pem; /opt/technicia/bin/gateway-reload; until openssl s_client -connect 127.0.0.1:443 -servername ${DOMAIN} </dev/null 2>/dev/null | grep placeholder.invalid; do sleep 0.2; done`,
    /^certificate certificate-served: certificate served: valid for .* → port 443 presents the placeholder$/,
  ),
  onServer(
    "certificate",
    "the certificate is asked for in another name",
    "sed --in-place \"s/^EMAIL=.*/EMAIL='mallory@example.org'/\" /etc/technicia/certificate.env",
    /^certificate certificate-settings: content: EMAIL=.* → EMAIL='mallory@example\.org'$/,
  ),
  onServer(
    "certificate",
    "the certificate's program is edited",
    "sed --in-place '2i # by hand' /opt/technicia/bin/certificate",
    /^certificate certificate-program: content: nothing → # by hand$/,
  ),
  onServer(
    "certificate",
    "nothing renews the certificate",
    "systemctl disable --now technicia-certificate.timer",
    /^certificate certificate-renewal: (active|enabled): true → false$/,
  ),
  onServer(
    "certificate",
    "the certificate is looked at once a year",
    "sed --in-place 's/^OnCalendar=.*/OnCalendar=yearly/' /etc/systemd/system/technicia-certificate.timer; systemctl daemon-reload",
    /^certificate certificate-timer: content: OnCalendar=.* → OnCalendar=yearly$/,
  ),
];

const ALL: readonly Drift[] = [
  ...CLOUD,
  ...DNS,
  ...FILES,
  ...BACKUPS,
  ...ACCESS,
  ...SYSTEM,
  ...NODE,
  ...TRUSTED,
  ...RULES,
  ...CONTAINERS,
  ...SPECS,
  ...DATA,
  ...CERTIFICATE,
  ...MONITORING,
  ...WORKFLOWS,
];

const ALONE = [
  "dockerd's settings are edited",
  "dockerd's settings are gone",
  "a link stands in the place of a file of ours",
  "another file names the login user's keys",
  "every rule is flushed, Docker's too",
  "the Swarm's only node is drained",
  "a service is gone with its secret",
  "a network is gone with what was on it",
  "the collection is gone",
];

export const DRIFTS: readonly Drift[] = ALL.map((drift) =>
  ALONE.includes(drift.name) ? { ...drift, alone: true } : drift,
);

/** One of each layer, which is found as well after the state has taken it in. */
export const ABSORBED: readonly Drift[] = [
  "the server bears another name in OVH's console",
  "the edge firewall no longer admits https",
  "the A record leads elsewhere",
  "the CAA record is gone",
  "the reverse name is another",
  "the login user accepts one key more",
  "dockerd's settings are gone",
  "a link stands in the place of a file of ours",
  "nothing upgrades the system",
  "a package is gone",
  "our table admits one port more",
  "the node has a label",
  "a service's environment is another",
  "a service has no task",
  "a service is gone with its secret",
  "a network is gone with what was on it",
  "an index of the collection is gone",
  "the collection is gone",
  "a node of a workflow is edited",
  "nothing renews the certificate",
].map((name) => {
  const found = DRIFTS.find((drift) => drift.name === name);
  if (found === undefined) throw new Error(`${name}: expected a drift of the matrix`);
  // Of what a refresh has dropped from the state nobody knows whether it exists.
  const expected = found.expect.map(
    ({ source }) => new RegExp(source.replace(/→ not there\$$/, "→ not in the state$")),
  );
  return { ...found, expect: expected };
});

/** Records of somebody else, which are no drift and which no repair touches. */
export const FOREIGN_RECORDS: readonly string[] = [
  `{"type":"MX","name":"${DOMAIN}","content":"mail.technicia.example","priority":10,"ttl":300}`,
  `{"type":"TXT","name":"${DOMAIN}","content":"google-site-verification=abc","ttl":300}`,
  `{"type":"CAA","name":"${DOMAIN}","data":{"flags":0,"tag":"iodef","value":"mailto:a@technicia.example"},"ttl":300}`,
  `{"type":"A","name":"n8n.${DOMAIN}","content":"203.0.113.66","ttl":300}`,
  `{"type":"A","name":"*.technicia.example","content":"203.0.113.66","ttl":300}`,
];

/** What a pattern is held against. */
export function told(finding: {
  readonly layer: string;
  readonly resource: string;
  readonly what: string;
  readonly expected: readonly string[];
  readonly found: readonly string[];
}): string {
  const { layer, resource, what, expected, found } = finding;
  const sides = what === found.join() ? EXTRA : `${expected.join(" | ")} → ${found.join(" | ")}`;
  return `${layer} ${resource}: ${what}: ${sides}`;
}
