/** Characters that nobody sees: controls, line ends, marks of direction and order, joiners, and blanks that count as letters. */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\u115f\u1160\u2800\u3164\uffa0]/gu;

/** Spaces that look like the one of the keyboard and are another: a non-breaking one comes with much that is copied from a page. */
const OTHER_SPACE = /(?! )\p{Zs}/gu;

/** The first character that nobody sees, as `U+200B`; undefined where there is none. */
export function invisibleIn(text: string): string | undefined {
  return nameOfFirst(text, INVISIBLE);
}

/** The first such space, as `U+00A0`; undefined where there is none. */
export function otherSpaceIn(text: string): string | undefined {
  return nameOfFirst(text, OTHER_SPACE);
}

/** The text in quotes, with what nobody sees written out. */
export function quoteVisibly(text: string): string {
  const escape = (character: string) => `\\u{${character.codePointAt(0)!.toString(16)}}`;
  return JSON.stringify(text).replace(INVISIBLE, escape).replace(OTHER_SPACE, escape);
}

export function withoutInvisible(text: string): string {
  return text.replace(INVISIBLE, "");
}

/** `U+00E9` */
export function nameOfCharacter(character: string): string {
  return `U+${character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}`;
}

function nameOfFirst(text: string, characters: RegExp): string | undefined {
  const [found] = text.match(characters) ?? [];
  return found && nameOfCharacter(found);
}
