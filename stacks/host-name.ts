import { domainToASCII } from "node:url";

const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** Whether the text is a name of at least two labels as DNS has it: lower case, and international letters in their ASCII form. */
export function isHostName(text: string): boolean {
  const labels = text.split(".");
  return (
    text.length <= 253 &&
    labels.length >= 2 &&
    labels.every((label) => LABEL.test(label) && isMeant(label)) &&
    /^[a-z]./.test(labels.at(-1) ?? "")
  );
}

/** Hyphens at the third and fourth place are reserved (RFC 5891): certificate authorities take no other such label than `xn--…` that means something. */
function isMeant(label: string): boolean {
  return label.slice(2, 4) !== "--" || (label.startsWith("xn--") && domainToASCII(label) === label);
}

/** The host name in what people type for one: an address of a site, capitals, accents, a dot at its end. Undefined where there is none. */
export function hostNameIn(text: string): string | undefined {
  const address = text.trim();
  const name = URL.parse(/^[a-z]+:\/\//i.test(address) ? address : `http://${address}`)?.hostname;
  const bare = name?.replace(/\.$/, "");
  return bare !== undefined && isHostName(bare) ? bare : undefined;
}
