/** What the model says: everything in it is from the request, and the same request has the same reply. */
import { sentencesOf, sharedWords, stemsOf } from "../words.ts";
import type { MessageRequest, Tool } from "./request.ts";

/** A part of the request between tags, such as `<passage numero="1" page="4">…</passage>`. */
interface Tagged {
  readonly attributes: Readonly<Record<string, string>>;
  readonly text: string;
}

const MOST_CITED = 3;
const NO_ANSWER = "Les passages fournis ne répondent pas à la question.";

/** The model's answer in text. */
export function answerTo({ asked }: Pick<MessageRequest, "asked">): string {
  const passages = tagged(asked, "passage");
  const [question] = tagged(asked, "question");
  if (question !== undefined) return answerFrom(passages, question.text);
  const steps = tagged(asked, "etape");
  if (steps.length > 0) return reportOn(steps, textBetween(asked, "symptomes"));
  return `Vous avez écrit : ${sentencesOf(asked)[0] ?? asked.trim()}`;
}

/** One sentence for each of the passages that share most words with the question, with the number of its passage. */
function answerFrom(passages: readonly Tagged[], question: string): string {
  const least = Math.min(2, new Set(stemsOf(question)).size);
  const best = passages
    .map(({ text, attributes }, index) => ({
      number: attributes["numero"] ?? String(index + 1),
      text,
      shared: sharedWords(question, text),
    }))
    .filter(({ shared }) => shared >= Math.max(1, least))
    .sort((a, b) => b.shared - a.shared)
    .slice(0, MOST_CITED);
  if (best.length === 0) return NO_ANSWER;
  return best
    .map(({ number, text }) => {
      const about = bestSentences(question, text)
        .join(" ")
        .replace(/[.!?]$/, "");
      return `${about} [${number}].`;
    })
    .join("\n\n");
}

/** The sentence that shares most words with the question, and the one after it. */
function bestSentences(question: string, text: string): string[] {
  const sentences = sentencesOf(text);
  const shares = sentences.map((sentence) => sharedWords(question, sentence));
  const at = shares.indexOf(Math.max(...shares));
  return sentences.slice(at, at + 2);
}

function reportOn(steps: readonly Tagged[], symptoms: string): string {
  return [
    "## Rapport de diagnostic",
    `Symptômes : ${symptoms}`,
    "### Observations",
    ...steps.map(({ attributes, text }) => {
      const [, observed = "rien"] = /^Observé : (.*)$/m.exec(text) ?? [];
      return `- ${attributes["titre"] ?? "Étape"} : ${observed}`;
    }),
    "### Sécurité",
    "Mettre la machine hors énergie avant toute intervention.",
  ].join("\n\n");
}

/** What the model fills a tool's fields with, by the schema of the tool: as many items as it asks for at least. */
export function inputFor({ schema }: Tool, { asked }: Pick<MessageRequest, "asked">): unknown {
  const symptoms = textBetween(asked, "symptomes");
  const facts = tagged(asked, "passage").flatMap(({ text }) => sentencesOf(text));
  const near = facts.filter((fact) => symptoms === "" || sharedWords(symptoms, fact) > 0);
  const others = facts.filter((fact) => !near.includes(fact));
  return fill(schema, { facts: [...near, ...others], symptoms, number: 1 });
}

interface Filling {
  readonly facts: readonly string[];
  readonly symptoms: string;
  /** Which item of a list it is for, from 1. */
  readonly number: number;
}

interface Schema {
  readonly type?: string;
  readonly description?: string;
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly minItems?: number;
  readonly minimum?: number;
}

function fill(schema: Schema, given: Filling): unknown {
  if (schema.enum !== undefined) return schema.enum[0];
  if (schema.type === "object") {
    return Object.fromEntries(
      Object.entries(schema.properties ?? {}).map(([name, inner]) => [name, fill(inner, given)]),
    );
  }
  if (schema.type === "array") {
    const count = Math.max(1, schema.minItems ?? 1);
    return Array.from({ length: count }, (_, index) =>
      fill(schema.items ?? { type: "string" }, { ...given, number: index + 1 }),
    );
  }
  if (schema.type === "integer" || schema.type === "number") return schema.minimum ?? given.number;
  if (schema.type === "boolean") return true;
  const about = given.facts[given.number - 1] ?? given.symptoms;
  return `${schema.description ?? "Texte"} (${given.number}) : ${about}`;
}

function tagged(text: string, tag: string): Tagged[] {
  const found = text.matchAll(new RegExp(`<${tag}((?: [a-z]+="[^"]*")*)>([\\s\\S]*?)</${tag}>`, "g"));
  return [...found].map(([, attributes = "", inner = ""]) => ({
    attributes: Object.fromEntries(
      [...attributes.matchAll(/([a-z]+)="([^"]*)"/g)].map(([, name = "", value = ""]) => [name, value]),
    ),
    text: inner.trim(),
  }));
}

function textBetween(text: string, tag: string): string {
  return tagged(text, tag)[0]?.text ?? "";
}
