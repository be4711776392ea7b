import { parse } from "yaml";

/** The settings of a file as the engine gives them to the program, without the secrets. */
export function readSettingsOf(text: string): Record<string, string> {
  const { config } = parse(text) as { config: Record<string, unknown> };
  const plain = Object.entries(config).flatMap(([name, value]) => {
    if (typeof value === "object" && value !== null && "secure" in value) return [];
    return [[name, typeof value === "string" ? value : JSON.stringify(value)] as const];
  });
  return Object.fromEntries(plain);
}
