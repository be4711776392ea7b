/** Vision: what is in an image, as far as its colours and the texts in its file tell. Nothing here recognizes shapes or letters. */
import { decode, hasPngSignature } from "fast-png";

import { badField, GoogleError } from "./errors.ts";

export const VISION_HOST = "vision.googleapis.com";

const MOST_IMAGES = 16;
const FEATURES = [
  ...[
    "LABEL_DETECTION",
    "TEXT_DETECTION",
    "DOCUMENT_TEXT_DETECTION",
    "IMAGE_PROPERTIES",
    "SAFE_SEARCH_DETECTION",
  ],
  ...[
    "FACE_DETECTION",
    "LANDMARK_DETECTION",
    "LOGO_DETECTION",
    "CROP_HINTS",
    "WEB_DETECTION",
    "OBJECT_LOCALIZATION",
  ],
];
/** Of a drawing on paper, this share of the pixels is at least as light as the paper. */
const PAPER_SHARE = 0.6;
const PAPER_LEVEL = 230;
/** Colours are told apart by this many steps of each part. */
const COLOUR_STEPS = 8;
const MOST_COLOURS = 10;

interface AnnotateRequest {
  readonly image?: { readonly content?: unknown };
  readonly features?: unknown;
}

interface Feature {
  readonly type?: unknown;
  readonly maxResults?: unknown;
}

/** Answers each image by itself: one that is wrong is an error in its own answer. */
export function annotate(body: { readonly requests?: unknown }): unknown {
  const { requests = [] } = body;
  if (!Array.isArray(requests)) throw badField("requests", "Invalid value at 'requests'");
  if (requests.length > MOST_IMAGES)
    throw new GoogleError(
      "INVALID_ARGUMENT",
      `Too many images per request: ${requests.length}, at most ${MOST_IMAGES}.`,
    );
  if (requests.length === 0) return {};
  return { responses: requests.map((request) => annotateImage(request as AnnotateRequest)) };
}

function annotateImage({ image, ...rest }: AnnotateRequest): unknown {
  const features = Array.isArray(rest.features) ? (rest.features as readonly Feature[]) : [];
  if (image === undefined || features.length === 0)
    return failure(3, "Request must specify image and features.");
  const kinds = features.map(({ type }) => String(type));
  const unknown = kinds.find((kind) => !FEATURES.includes(kind));
  if (unknown !== undefined) throw badField("requests[0].features[0].type", `Invalid value: "${unknown}"`);
  const seen = look(image.content);
  if (seen === undefined) return failure(3, "Bad image data.");
  const most = Number(features.find(({ type }) => type === "LABEL_DETECTION")?.maxResults ?? 10);
  const isText = kinds.includes("TEXT_DETECTION") || kinds.includes("DOCUMENT_TEXT_DETECTION");
  return {
    ...(kinds.includes("LABEL_DETECTION") && { labelAnnotations: labelsOf(seen).slice(0, most) }),
    ...(isText && seen.text !== "" ? textOf(seen.text) : {}),
    ...(kinds.includes("IMAGE_PROPERTIES") && {
      imagePropertiesAnnotation: { dominantColors: { colors: seen.colours } },
    }),
  };
}

function failure(code: number, message: string): unknown {
  return { error: { code, message } };
}

interface Seen {
  readonly text: string;
  /** Undefined where that is not known. */
  readonly isDrawing: boolean | undefined;
  readonly colours: readonly unknown[];
}

/** JPEG, GIF, and WebP within RIFF. */
const OTHER_IMAGES = [[0xff, 0xd8, 0xff], [...Buffer.from("GIF8")], [...Buffer.from("RIFF")]];

/** What an image shows; undefined for what is none. Images other than PNG are not decoded: they are accepted, and nothing is said of them. */
function look(content: unknown): Seen | undefined {
  if (typeof content !== "string") return undefined;
  const bytes = new Uint8Array(Buffer.from(content, "base64"));
  if (OTHER_IMAGES.some((start) => start.every((byte, at) => bytes[at] === byte)))
    return { text: "", isDrawing: undefined, colours: [] };
  if (!hasPngSignature(bytes)) return undefined;
  try {
    const { data, channels, depth, palette, text } = decode(bytes);
    const counts = new Map<string, number>();
    let light = 0;
    const pixels = data.length / channels;
    for (let at = 0; at < data.length; at += channels) {
      const level = (offset: number) => (Number(data[at + offset] ?? 0) * 255) / (2 ** depth - 1);
      const own = palette?.[data[at] ?? 0];
      const [red = 0, green = 0, blue = 0] =
        own ?? (channels < 3 ? [level(0), level(0), level(0)] : [level(0), level(1), level(2)]);
      if (Math.min(red, green, blue) >= PAPER_LEVEL) light += 1;
      const step = (part: number) =>
        Math.min(255, Math.round((part / 255) * COLOUR_STEPS) * (256 / COLOUR_STEPS));
      const key = [red, green, blue].map(step).join(" ");
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    return {
      text: Object.values(text ?? {}).join("\n"),
      isDrawing: light / pixels >= PAPER_SHARE,
      colours: coloursOf(counts, pixels),
    };
  } catch {
    return undefined;
  }
}

function coloursOf(counts: ReadonlyMap<string, number>, pixels: number): unknown[] {
  return [...counts]
    .sort(([, a], [, b]) => b - a)
    .slice(0, MOST_COLOURS)
    .map(([key, count]) => {
      const [red, green, blue] = key.split(" ").map(Number);
      return { color: { red, green, blue }, score: count / pixels, pixelFraction: count / pixels };
    });
}

/** Labels of a drawing on paper, or of a photograph; and the words in the file's own texts. */
function labelsOf({ isDrawing, text }: Seen): unknown[] {
  const words = [...new Set(text.toLowerCase().match(/\p{L}{4,}/gu) ?? [])];
  const kind = isDrawing === undefined ? [] : isDrawing ? ["Diagram", "Line", "Parallel"] : ["Photograph"];
  return [...kind, ...words].map((description, index) => {
    const score = Math.max(0.5, 0.95 - index * 0.05);
    return { mid: `/m/0${index}technicia`, description, score, topicality: score };
  });
}

function textOf(text: string): object {
  const words = text.split(/\s+/);
  return {
    textAnnotations: [{ locale: "fr", description: text }, ...words.map((description) => ({ description }))],
    fullTextAnnotation: { text },
  };
}
