import { z } from "zod";

import type { Existing, Change } from "../../plugin/definition.ts";
import { UserError } from "../../../common/user-error.ts";
import type { Wish } from "../order/catalog.ts";
import { shortfalls } from "./fitness.ts";
import { isSameImage, isSameKey } from "./install.ts";
import { adoptCommand, refuseOrderAgain } from "../order/orders.ts";

const PUBLIC_KEY = /^(ssh-(rsa|ed25519)|ecdsa-sha2-nistp(256|384|521)|sk-\S+) [A-Za-z0-9+/]+=*( .*)?$/;

const text = (what: string): z.ZodString => z.string().trim().min(1, what);
const count = (what: string): z.ZodNumber => z.number(what).int(what).min(1, what);

export const vpsSchema = z.strictObject({
  serviceName: text("the name of a server as OVH writes it; leave it out to order one").optional(),
  order: z
    .strictObject({
      subsidiary: z.string().regex(/^[A-Z]{2}$/, "a country code in capitals; write for example FR"),
      maxMonthlyPriceEur: z
        .number()
        .positive("a price in euros above 0; say what you accept to pay each month"),
      again: text("the name of the server that is gone; leave it out otherwise").optional(),
    })
    .optional(),
  name: text("a name; OVH's control panel shows it").max(50, "at most 50 characters; shorten it"),
  vcores: count("a whole number of cores, 1 or more; correct it"),
  memoryGib: z.number().positive("a number of GiB above 0; correct it"),
  datacentre: text("a datacentre code of OVH; write for example GRA"),
  image: text("the label of an operating system at OVH; write for example Debian 12"),
  publicKey: z
    .string()
    .trim()
    .regex(PUBLIC_KEY, "a public key in OpenSSH's format; give the content of the .pub file"),
  deleteAtExpiry: z.boolean("true or false; true lets pulumi destroy end the contract at its expiry"),
});

export type VpsInputs = z.infer<typeof vpsSchema>;

export interface VpsOutputs {
  readonly serviceName: string;
  readonly ipv4: string;
  readonly ipv6: string;
  readonly ipv6Gateway?: string | undefined;
  readonly model: string;
  readonly vcore: number;
  readonly memoryMib: number;
  readonly diskGib: number;
  readonly zone: string;
  readonly osImage: string;
  readonly state: string;
  readonly orderId?: number | undefined;
  readonly plan?: string | undefined;
  readonly monthlyPriceEur?: number | undefined;
  readonly serverId: string;
  /** When the system was installed, as far as OVH knew, or else when the server was adopted. */
  readonly installedAt?: string | undefined;
}

export function checkVps({ serviceName, order }: VpsInputs): readonly string[] {
  if ((serviceName === undefined) !== (order === undefined)) return [];
  const got = order ? "both" : "neither";
  return [
    `server: expected either serviceName (a server that exists) or order (terms to buy one), got ${got}; ` +
      "set technicia:server.serviceName or technicia:server.order",
  ];
}

/** State that a refresh records of an ordered server that OVH no longer has. It stays in the state, or the next update would order another. */
export const GONE = "gone";

/** The wish; undefined while a part of it is unknown. */
export function wishOf(inputs: Partial<VpsInputs>): Wish | undefined {
  const { order, vcores, memoryGib, datacentre, image } = inputs;
  if (!order?.subsidiary || !order.maxMonthlyPriceEur || !vcores || !memoryGib || !datacentre || !image)
    return undefined;
  const { subsidiary, maxMonthlyPriceEur } = order;
  return { subsidiary, maxMonthlyPriceEur, vcores, memoryGib, datacentre, image };
}

/**
 * What a change of the inputs means for an existing server, beyond an update of the recorded values. Throws where the change would require
 * wiping a disk or ordering another server, because nothing here does either.
 */
export function diffVps(
  { inputs, outputs }: Existing<VpsInputs, VpsOutputs>,
  news: Partial<VpsInputs>,
): readonly Change[] {
  const { serviceName } = outputs;
  const isGone = outputs.state === GONE;
  if (serviceName && news.order?.again === serviceName && (isGone || !outputs.serverId)) {
    return [{ path: "order.again", replace: true }];
  }
  if (serviceName && news.serviceName !== undefined && news.serviceName !== serviceName) {
    if (inputs.deleteAtExpiry && !isGone) {
      throw new UserError(
        `server.serviceName: expected ${serviceName}, got ${news.serviceName}; replacing it would end its contract, as deleteAtExpiry is true: ` +
          "set server.deleteAtExpiry to false, run pulumi up, and only then change the name",
      );
    }
    return [{ path: "serviceName", replace: true }];
  }
  if (isGone) refuseOrderAgain(serviceName, news.order?.again);
  // An interrupted order or installation continues.
  if (!outputs.serverId) return [{ path: "serverId" }];
  refuseChanges({ inputs, outputs }, news);
  return [];
}

function refuseChanges(
  { inputs, outputs }: Omit<Existing<VpsInputs, VpsOutputs>, "id">,
  news: Partial<VpsInputs>,
): void {
  const { serviceName, osImage } = outputs;
  const reinstall =
    `this program never wipes a disk: save your data, reinstall ${serviceName} yourself in OVH's control panel with the image and key you want, ` +
    "then run pulumi up --refresh, which recreates everything on it";
  // An ordered server is where OVH delivered it, whatever OVH calls that place.
  const isAsOrdered = outputs.orderId !== undefined && news.datacentre === inputs.datacentre;
  const wanted = isAsOrdered ? { vcores: news.vcores, memoryGib: news.memoryGib } : news;
  const problems = shortfalls(outputs, wanted).map((problem) => `server: ${problem}`);
  if (news.image !== undefined && osImage && !isSameImage(news.image, osImage)) {
    problems.push(
      `server.image: expected ${osImage}, which ${serviceName} runs, got ${news.image}; set it back, or: ${reinstall}`,
    );
  }
  // An adopted server never got its key from here, nor did one that somebody else reinstalled.
  const isOurKey = inputs.order !== undefined && news.serviceName === undefined && inputs.publicKey !== "";
  if (isOurKey && news.publicKey !== undefined && !isSameKey(news.publicKey, inputs.publicKey)) {
    problems.push(
      `ssh.publicKey: expected the key ${serviceName} was installed with, got another; set it back; or add the new key by ssh yourself and ` +
        `record that with ${adoptCommand(serviceName)} and pulumi config rm --path technicia:server.order; or: ${reinstall}`,
    );
  }
  if (problems.length > 0) throw new UserError(problems.join("\n"));
}
