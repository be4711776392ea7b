/** The rule about secrets: they stay secrets, and only what is made for them receives them. */
import { Sealed, type Facts, type Inputs, type Rule } from "./rule.ts";

/** Properties that may hold a secret, by the type of the resource: they reach nobody who may not know them. */
const PLACES: Readonly<Record<string, readonly string[]>> = {
  "docker:index/secret:Secret": ["data"],
  "technicia:host:File": ["content"],
  "technicia:host:Image": ["login"],
  "technicia:host:State": ["secrets"],
  // n8n encrypts what it stores of them.
  "technicia:n8n:Content": ["credentials", "owner"],
};

/** Shorter values occur by chance. */
const SHORTEST = 8;

export const secretRules: readonly Rule[] = [
  {
    name: "secrets-sealed",
    description: "A secret is marked as one, and goes only where secrets are kept.",
    level: "mandatory",
    judge: ({ type, inputs }, facts) => {
      const places = PLACES[type] ?? [];
      const maySeal = (path: string) =>
        // Providers log in with them, and their inputs are encrypted in the state.
        type.startsWith("pulumi:providers:") || places.includes(path.split(/[.[]/)[0] ?? "");
      const { open, sealed } = leavesOf(inputs);
      return [
        ...sealed
          .filter((path) => !maySeal(path))
          .map(
            (path) =>
              `${path}: expected no secret, because this is readable on the server and in Docker; pass it as a secret file`,
          ),
        ...open.flatMap(([path, text]) =>
          secretsIn(text, facts).map(
            (name) =>
              `${path}: expected no value of the secret ${name} in clear; pass it as a secret (pulumi.secret)`,
          ),
        ),
      ];
    },
  },
];

interface Leaves {
  /** Texts that anybody may read who reads the state or a preview. */
  readonly open: readonly (readonly [path: string, text: string])[];

  /** Paths of what is marked as a secret. */
  readonly sealed: readonly string[];
}

function leavesOf(inputs: Inputs): Leaves {
  const open: [string, string][] = [];
  const sealed: string[] = [];
  const walk = (value: unknown, path: string): void => {
    if (value instanceof Sealed) sealed.push(path);
    else if (typeof value === "string") open.push([path, value]);
    else if (Array.isArray(value)) value.forEach((inner, index) => walk(inner, `${path}[${index}]`));
    else if (typeof value === "object" && value !== null) {
      for (const [key, inner] of Object.entries(value)) walk(inner, path === "" ? key : `${path}.${key}`);
    }
  };
  walk(inputs, "");
  return { open, sealed };
}

/** Names of the secrets whose values are in a text, as they are or as another format writes them. */
function secretsIn(text: string, { secrets }: Facts): string[] {
  return secrets.flatMap(([name, value]) =>
    value.length >= SHORTEST && formsOf(value).some((form) => text.includes(form)) ? [name] : [],
  );
}

function formsOf(value: string): string[] {
  return [
    value,
    JSON.stringify(value).slice(1, -1),
    encodeURIComponent(value),
    Buffer.from(value, "utf8").toString("base64"),
  ];
}
