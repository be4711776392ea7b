/** Settings of earlier releases: what stands in their place. */
import type { Commands, SettingPath } from "./config-command.ts";

type Remedy = (path: SettingPath, commands: Commands) => string;

const MOVED: Readonly<Record<string, Remedy>> = {
  "monitoring.receivers.pager": (path, commands) =>
    "expected an entry of monitoring.receivers.webhooks instead, which keeps the secret pagerUrl; " +
    `remove this with ${commands.remove(path)}, and where it was true, set ` +
    [
      commands.set(["monitoring", "receivers", "webhooks", 0, "name"], "pager"),
      commands.set(["monitoring", "receivers", "webhooks", 0, "secret"], "pagerUrl"),
    ].join(" and "),
  "operations.thresholds": (path, commands) =>
    "expected these numbers in monitoring.thresholds, once for alerts and verifications; " +
    `remove them with ${commands.remove(path)}, and where one differs from the alert's, set it in monitoring.thresholds.release, ` +
    `such as ${commands.set(["monitoring", "thresholds", "release", "p95Seconds"], "3")}`,
};

/** What to do about a setting that is elsewhere now; undefined for any other. */
export function movedSetting(path: SettingPath, commands: Commands): string | undefined {
  const name = path.map(String).join(".");
  return Object.hasOwn(MOVED, name) ? MOVED[name]!(path, commands) : undefined;
}
