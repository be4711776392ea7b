/** A document → PDF: a heading and paragraphs on each page, and a drawing where there is one. */
import { encode } from "fast-png";
import PDFDocument from "pdfkit";

export interface Page {
  readonly heading: string;
  readonly paragraphs: readonly string[];
  /** Text below a drawing of the circuit. @default no drawing */
  readonly drawing?: string;
}

export interface PdfOptions {
  readonly title: string;
  /** Password without which nobody opens it. @default none */
  readonly password?: string;
}

/** Equal documents give equal bytes. */
const WRITTEN = new Date("2026-01-05T09:00:00Z");
const DRAWING = { width: 320, height: 180 };

export async function renderPdf(
  pages: readonly Page[],
  { title, password }: PdfOptions,
): Promise<Uint8Array> {
  const pdf = new PDFDocument({
    size: "A4",
    margin: 56,
    autoFirstPage: false,
    compress: false,
    lang: "fr",
    info: { Title: title, Author: "TechnicIA", CreationDate: WRITTEN, ModDate: WRITTEN },
    ...(password !== undefined && { userPassword: password, pdfVersion: "1.7" as const }),
  });
  const chunks: Buffer[] = [];
  pdf.on("data", (chunk: Buffer) => chunks.push(chunk));
  const ended = new Promise((resolve) => pdf.once("end", resolve));
  for (const { heading, paragraphs, drawing } of pages) {
    pdf.addPage();
    pdf.font("Helvetica-Bold").fontSize(16).text(heading).moveDown();
    pdf.font("Helvetica").fontSize(11);
    for (const paragraph of paragraphs) pdf.text(paragraph).moveDown();
    if (drawing === undefined) continue;
    pdf.image(drawCircuit(), { fit: [DRAWING.width, DRAWING.height] }).moveDown();
    pdf.fontSize(9).text(drawing);
  }
  pdf.end();
  await ended;
  return new Uint8Array(Buffer.concat(chunks));
}

/** A loop of pipes with two components, black on white; a PNG. */
function drawCircuit(): Buffer {
  const { width, height } = DRAWING;
  const data = new Uint8Array(width * height * 3).fill(255);
  const paint = (left: number, top: number, right: number, bottom: number): void => {
    for (let y = top; y < bottom; y++)
      for (let x = left; x < right; x++) data.fill(0, 3 * (y * width + x), 3 * (y * width + x) + 3);
  };
  const frame = (left: number, top: number, right: number, bottom: number): void => {
    paint(left, top, right, top + 3);
    paint(left, bottom - 3, right, bottom);
    paint(left, top, left + 3, bottom);
    paint(right - 3, top, right, bottom);
  };
  frame(40, 40, 280, 140);
  frame(20, 70, 60, 110);
  frame(260, 70, 300, 110);
  paint(150, 30, 153, 53);
  return Buffer.from(encode({ width, height, data, channels: 3, depth: 8 }));
}
