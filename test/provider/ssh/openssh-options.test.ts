import { expect, it } from "vitest";

import { opensshOptions } from "../../../provider/ssh/openssh-options.ts";

it("never prompts, trusts only the recorded host key, and shares one connection", () => {
  const given = opensshOptions({ privateKeyFile: "~/.ssh/id_ed25519", hostKey: "ssh-ed25519 AAAAhost" });
  const options = [
    "BatchMode=yes",
    "IdentitiesOnly=yes",
    "IdentityFile=~/.ssh/id_ed25519",
    "StrictHostKeyChecking=yes",
    "UserKnownHostsFile=/dev/null",
    "GlobalKnownHostsFile=/dev/null",
    "KnownHostsCommand=/bin/echo %H ssh-ed25519 AAAAhost",
    "ControlMaster=auto",
    "ControlPath=~/.technicia-%C",
    "ControlPersist=120s",
    "ServerAliveInterval=15",
    "ConnectTimeout=30",
  ];

  expect(given).toEqual(options.flatMap((option) => ["-o", option]));
});
