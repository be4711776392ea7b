/** The kinds of values that settings have. An error text is only "expected …"; `settings.ts` adds the path, the value and the command. */
import { z } from "zod";

import { isSafeForKeys } from "../common/api-address.ts";
import { imageNameIn, isExact, registryIn } from "../common/image-reference.ts";
import { isTimeZone } from "../common/time-zones.ts";
import { rangeProblem, type Family, visitorRangeProblem } from "./address-range.ts";
import { hostNameIn, isHostName } from "./host-name.ts";
import { isPublicKey } from "./public-key.ts";
import { isSystemName } from "./system-names.ts";

// `pulumi config set` stores every value at the top level, and every decimal one, as text.
const fromText = (value: unknown): unknown => {
  if (typeof value !== "string") return value;
  if (/^-?\d+(\.\d+)?$/.test(value)) return Number(value);
  if (value === "true" || value === "false") return value === "true";
  return value;
};

export function text(expected: string, form: RegExp | ((value: string) => boolean)) {
  const isRight = form instanceof RegExp ? (value: string) => form.test(value) : form;
  return z.string({ error: expected }).refine(isRight, { error: expected });
}

interface WithBetterForm {
  readonly expected: string;
  readonly isRight: (value: string) => boolean;
  /** What was meant by a value that is not right, as `isRight` wants it. */
  readonly meant: (value: string) => string | undefined;
  /** Says of the better form why it is right: "the name as DNS has it". */
  readonly why: string;
}

/** A text of which a wrong value says what was meant: the error then gives that form. */
function textWithBetterForm({ expected, isRight, meant, why }: WithBetterForm) {
  return z.string({ error: expected }).superRefine((value, context) => {
    if (isRight(value)) return;
    const better = meant(value);
    const isBetter = better !== undefined && isRight(better);
    context.addIssue({
      code: "custom",
      message: isBetter ? `expected "${better}", ${why}` : expected,
      input: value,
      ...(isBetter ? { params: { better } } : {}),
    });
  });
}

export function number(expected: string, isRight: (value: number) => boolean) {
  return z.preprocess(fromText, z.number({ error: expected }).refine(isRight, { error: expected }));
}

export function integer(error: string, { least, most }: { readonly least: number; readonly most: number }) {
  // Without `abort` a number far out of range would be reported twice.
  const params = { error, abort: true };
  return z.preprocess(fromText, z.int(params).min(least, params).max(most, params));
}

export function whole(what: string, range: { readonly least: number; readonly most: number }) {
  const { least, most } = range;
  return integer(`expected a whole number of ${what} from ${least} to ${most}, without a unit`, range);
}

export function choice<const T extends readonly string[]>(options: T) {
  const quoted = options.map((option) => `"${option}"`);
  return z.enum(options, { error: `expected ${quoted.slice(0, -1).join(", ")} or ${quoted.at(-1)}` });
}

export const flag = () => z.preprocess(fromText, z.boolean({ error: "expected true or false" }));

/** A map of settings. When it is missing it counts as empty, so that the errors name each setting in it. */
export function map<T extends z.ZodRawShape>(shape: T) {
  return z.preprocess((value) => value ?? {}, optionalMap(shape));
}

export function optionalMap<T extends z.ZodRawShape>(shape: T) {
  return z.strictObject(shape, {
    error: (issue) => (issue.code === "unrecognized_keys" ? undefined : "expected a map of settings"),
  });
}

export const hostName = (example: string) =>
  textWithBetterForm({
    expected: `expected a host name without scheme or port, such as ${example}`,
    isRight: isHostName,
    meant: hostNameIn,
    why: "the name as DNS has it",
  });

const isEmail = (address: string) => address.length <= 254 && z.email().safeParse(address).success;

export const emailAddress = textWithBetterForm({
  expected: "expected an e-mail address",
  isRight: isEmail,
  meant: (address) => {
    const [, name, domain = ""] = /^(.+)@([^@]+)$/.exec(address.trim()) ?? [];
    return name === undefined ? undefined : `${name}@${hostNameIn(domain) ?? ""}`;
  },
  why: "the address as mail servers have it",
});

export const apiAddress = text(
  "expected the address of an API (https://…) without a slash at the end",
  isApiAddress,
);

export const range = (family: Family) =>
  checked(`expected an IP${family} range`, (value) => rangeProblem(value, family));

/** A range that visitors may come from. */
export const visitorRange = () => checked("expected an IPv4 range", visitorRangeProblem);

function checked(expected: string, problemOf: (value: string) => string | undefined) {
  return z.string({ error: expected }).superRefine((value, context) => {
    const problem = problemOf(value);
    if (problem) context.addIssue({ code: "custom", message: problem, input: value });
  });
}

export const list = <T extends z.ZodType>(item: T) => z.array(item, { error: "expected a list" });

export const publicKey = text(
  "expected an OpenSSH public key on one line, such as ssh-ed25519 AAAA… name",
  isPublicKey,
);

/** The key of the deployment itself, which nobody can touch at every login. */
export const operatorKey = publicKey.refine((key) => !key.startsWith("sk-"), {
  error:
    "expected a key that signs without a touch, such as ssh-ed25519; a security key (sk-…) is for people, under ssh.admins",
});

/** A valid key whose private half nobody has. */
export const EXAMPLE_KEY =
  "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f alice@example";

export const image = (example: string) =>
  textWithBetterForm({
    expected:
      "expected an image with an exact version or a digest, such as qdrant/qdrant:v1.19.0-unprivileged",
    isRight: isExact,
    meant: imageNameIn,
    why: "the image as registries name it",
  }).meta({ description: "Image, with an exact version or a digest.", example });

export const registryAddress = textWithBetterForm({
  expected: "expected a registry without scheme, and perhaps a folder, such as registry.exemple.fr/technicia",
  isRight: (address) => registryIn(address) === address,
  meant: registryIn,
  why: "as the names of its images begin",
});

export const limits = (memoryMib: number, cpus: number) => ({
  memoryMib: whole("MiB", { least: 16, most: 65_536 }).meta({
    description: "Hard memory limit, in MiB: a container that outgrows it is restarted.",
    example: memoryMib,
  }),
  cpus: number("expected a number of cores of at least 0.05, such as 0.5", (cores) => cores >= 0.05).meta({
    description: "CPU limit, in cores; 0.5 is half a core.",
    example: cpus,
  }),
});

export const enabled = () =>
  flag().meta({ description: "Whether this environment runs the service.", example: true });

// n8n's own rules for the names of a person: no markup, and nothing that a mail program would make a link of.
const isPersonName = (name: string) =>
  name.trim() !== "" &&
  name.length <= 32 &&
  !/[<>]/.test(name) &&
  !/^(https?:\/\/|www\.)|\.[\p{L}\d-]/iu.test(name);

export const personName = textWithBetterForm({
  expected:
    "expected a name of at most 32 characters, without <, > or a dot right before a letter, as n8n demands",
  isRight: isPersonName,
  meant: (name) => name.replace(/\.(?=[\p{L}\d-])/gu, ". "),
  why: "because n8n takes a dot right before a letter for an address",
});

/** The account of a person. */
export const linuxUser = text(
  "expected a Linux user name, such as debian",
  /^[a-z_][a-z0-9_-]{0,31}$/,
).refine((name) => !isSystemName(name), {
  error:
    "expected a user who may log in, neither root, whom sshd refuses, nor an account or group of the system",
});

/** Whether the programs for the server run on an image: older releases have an sshd that reads no folder of settings. */
export function isSupportedImage(image: string): boolean {
  const [, system, release] = /^(Debian|Ubuntu) (\d{2}(?:\.\d{2})?)(?: - Docker)?$/.exec(image) ?? [];
  if (system === "Debian") return /^\d{2}$/.test(release ?? "") && Number(release) >= 11;
  return system === "Ubuntu" && /^\d{2}\.\d{2}$/.test(release ?? "") && Number(release) >= 22.04;
}

export const timeZone = text("expected a time zone of the IANA list, such as Europe/Paris", isTimeZone);

export const googleProject = text(
  "expected the id of a Google Cloud project, such as technicia-prod-1234",
  isGoogleProject,
);

export const timeOfDay = text('expected a time of day in UTC, such as "09:00"', /^([01]\d|2[0-3]):[0-5]\d$/);

export const day = text(
  'expected a day in quotes, such as "2026-12-24"',
  (date) => z.iso.date().safeParse(date).success,
);

export const percent = whole("percent", { least: 1, most: 99 });

/** Refuses a map whose second value comes before the first; both are compared as text. */
export function inOrder(keys: {
  readonly first: string;
  readonly second: string;
  readonly orEqual: boolean;
}) {
  return (map: Readonly<Record<string, unknown>>, context: z.core.$RefinementCtx) => {
    const [first, second] = [String(map[keys.first]), String(map[keys.second])];
    if (first < second || (keys.orEqual && first === second)) return;
    const message = `expected ${keys.orEqual ? "not before" : "later than"} ${keys.first}, "${first}"`;
    context.addIssue({ code: "custom", message, path: [keys.second], input: second });
  };
}

export function isApiAddress(address: string): boolean {
  return isSafeForKeys(address) && !address.endsWith("/");
}

export function isServiceAddress(address: string): boolean {
  const protocol = URL.parse(address)?.protocol;
  return protocol === "https:" || protocol === "http:";
}

/** A password in an address would be in the state, in logs and in the labels of images. */
export function isRepository(address: string): boolean {
  if (/^[A-Za-z0-9_][\w.-]*@[\w.-]+:[^\s:]+$/.test(address)) return true;
  const url = URL.parse(address);
  if (url === null || /\s/.test(address)) return false;
  return (
    (url.protocol === "file:" && url.host === "") ||
    (url.protocol === "https:" && url.username === "" && url.password === "") ||
    (url.protocol === "ssh:" && url.password === "")
  );
}

export function isFolderInRepository(folder: string): boolean {
  return folder === "." || /^(?!\.{1,2}(\/|$))[\w.-]+(\/(?!\.{1,2}(\/|$))[\w.-]+)*$/.test(folder);
}

// Placeholders such as your-project-id are valid ids, too.
function isGoogleProject(id: string): boolean {
  return /^[a-z][a-z0-9-]{4,28}[a-z0-9]$/.test(id) && !/^(your|votre|my|mon)-/.test(id);
}
