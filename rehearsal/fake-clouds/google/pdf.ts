/** The text layer of a PDF: what this fake reads in place of the pictures of its pages. */
import { getDocumentProxy } from "unpdf";

export interface PdfPage {
  readonly width: number;
  readonly height: number;
  /** Each is a list of lines, in reading order. */
  readonly paragraphs: readonly (readonly string[])[];
}

/** A gap between two lines above so many heights of a letter starts a paragraph. */
const PARAGRAPH_GAP = 1.6;

interface Line {
  text: string;
  readonly y: number;
  readonly height: number;
}

/** Pages of a PDF; undefined where it is none, is damaged, or asks for a password. */
export async function readPdf(
  bytes: Uint8Array,
  mostPages: number,
): Promise<{ readonly count: number; readonly pages: readonly PdfPage[] } | undefined> {
  const document = await getDocumentProxy(bytes, { verbosity: 0 }).catch(() => undefined);
  if (document === undefined) return undefined;
  try {
    const count = document.numPages;
    if (count > mostPages) return { count, pages: [] };
    const pages: PdfPage[] = [];
    for (let number = 1; number <= count; number++) {
      const page = await document.getPage(number);
      const { width, height } = page.getViewport({ scale: 1 });
      const { items } = await page.getTextContent();
      pages.push({ width, height, paragraphs: paragraphsOf(linesOf(items)) });
      page.cleanup();
    }
    return { count, pages };
  } finally {
    await document.loadingTask.destroy();
  }
}

/** What pdf.js gives of a piece of text; other items mark the structure. */
interface TextItem {
  readonly str: string;
  readonly hasEOL: boolean;
  readonly height: number;
  readonly transform: readonly number[];
}

function linesOf(items: readonly object[]): Line[] {
  const lines: Line[] = [];
  let isNew = true;
  for (const item of items as readonly Partial<TextItem>[]) {
    if (item.str === undefined) continue;
    const y = item.transform?.[5] ?? 0;
    const last = lines.at(-1);
    if (item.str !== "") {
      if (isNew || last === undefined) lines.push({ text: item.str, y, height: item.height ?? 0 });
      else last.text += item.str;
    }
    isNew = item.hasEOL === true;
  }
  return lines
    .map((line) => ({ ...line, text: line.text.replace(/\s+/g, " ").trim() }))
    .filter(({ text }) => text !== "");
}

function paragraphsOf(lines: readonly Line[]): string[][] {
  const paragraphs: string[][] = [];
  let above: Line | undefined;
  for (const line of lines) {
    const isNext =
      above !== undefined && line.height === above.height && above.y - line.y <= PARAGRAPH_GAP * line.height;
    if (isNext) paragraphs.at(-1)?.push(line.text);
    else paragraphs.push([line.text]);
    above = line;
  }
  return paragraphs;
}
