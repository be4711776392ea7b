import type { FirewallRule } from "../ovh/state.ts";

/** The computer behind a VPS service. */
export interface MachineSpec {
  readonly serviceName: string;
  /** Operating system, as OVH names the image: "Debian 12". */
  readonly image: string;
  /** Key for the image's first user; null when none was given. */
  readonly publicKey: string | null;
  readonly ipv4: string;
  readonly ipv6: string;
}

/** What the OVH API controls: the server that it rents out and the edge of its network. */
export interface Machine {
  /** Starts a newly installed server; done when it has booted. */
  deliver(spec: MachineSpec): Promise<void>;
  /** Reinstalls it: nothing of its disk is left. */
  rebuild(spec: MachineSpec): Promise<void>;
  /** Restarts it with its disk as it was. */
  reboot(spec: MachineSpec): Promise<void>;
  /** Removes it with its disk. */
  remove(spec: MachineSpec): Promise<void>;
  /** Filters traffic to `ip` by `rules`, in the order of their sequence. */
  applyFirewall(ip: string, rules: readonly FirewallRule[], enabled: boolean): Promise<void>;
}

export type MachineAction =
  | { readonly kind: "deliver" | "rebuild" | "reboot" | "remove"; readonly spec: MachineSpec }
  | {
      readonly kind: "applyFirewall";
      readonly ip: string;
      readonly rules: readonly FirewallRule[];
      readonly enabled: boolean;
    };

/** For tests of the API alone: nothing runs, and the actions are recorded. */
export class NoMachine implements Machine {
  readonly actions: MachineAction[] = [];

  deliver(spec: MachineSpec): Promise<void> {
    return this.#note({ kind: "deliver", spec });
  }

  rebuild(spec: MachineSpec): Promise<void> {
    return this.#note({ kind: "rebuild", spec });
  }

  reboot(spec: MachineSpec): Promise<void> {
    return this.#note({ kind: "reboot", spec });
  }

  remove(spec: MachineSpec): Promise<void> {
    return this.#note({ kind: "remove", spec });
  }

  applyFirewall(ip: string, rules: readonly FirewallRule[], enabled: boolean): Promise<void> {
    return this.#note({ kind: "applyFirewall", ip, rules: structuredClone(rules), enabled });
  }

  #note(action: MachineAction): Promise<void> {
    this.actions.push(action);
    return Promise.resolve();
  }
}
