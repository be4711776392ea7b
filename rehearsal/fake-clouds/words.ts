/** What the fakes of VoyageAI and Anthropic understand of a text: which words it shares with another. */

/** Words that say nothing about what a text is about. */
const EMPTY_WORDS = new Set(
  (
    "a au aux avec ce ces cet cette comment dans de des du elle en est et faire faut il ils je la le les leur lors mais ne nous on ou " +
    "par pas peut plus pour puis que quel quelle qui quoi sa se ses si son sont sur tous tout toute un une votre vous the of and to in is"
  ).split(" "),
);

/** Letters of a word that count, so that "purger", "purge" and "purgé" are the same. */
const STEM_LETTERS = 5;

/** The words of a text by their first letters, without accents; in the text's order. Other scripts count sign by sign. */
export function stemsOf(text: string): string[] {
  const plain = text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  const words = plain.match(/[\p{Script=Latin}\d]+|\p{L}/gu) ?? [];
  return words.filter((word) => !EMPTY_WORDS.has(word)).map((word) => word.slice(0, STEM_LETTERS));
}

/** The sentences of a text, each without line breaks. */
export function sentencesOf(text: string): string[] {
  return (text.replace(/\s+/g, " ").match(/\S.*?(?:[.!?](?=\s|$)|$)/g) ?? []).map((one) => one.trim());
}

/** How many different words of `asked` are in `text`. */
export function sharedWords(asked: string, text: string): number {
  const there = new Set(stemsOf(text));
  return [...new Set(stemsOf(asked))].filter((stem) => there.has(stem)).length;
}

/** Roughly as many tokens as a model counts. */
export function tokensIn(text: string): number {
  return Math.ceil(text.length / 4);
}
