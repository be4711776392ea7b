import { readFile } from "node:fs/promises";

import { encode } from "fast-png";
import { describe, expect, it } from "vitest";

import { MANUAL, MANUAL_PAGES } from "../../../../rehearsal/documents/hydraulic-purge.ts";
import { renderPdf } from "../../../../rehearsal/documents/render.ts";
import { away } from "../../../../rehearsal/fake-clouds/google/errors.ts";
import { googleApi, type GoogleOptions } from "../../../../rehearsal/fake-clouds/google/server.ts";
import { type Answered, send, serve } from "../serving.ts";
import { assertion, createAccount } from "./account.ts";

const { account, credentials } = createAccount();
const processor = { project: "technicia-1234", location: "eu", id: "0123456789abcdef" } as const;
const NAME = `/v1/projects/${processor.project}/locations/eu/processors/${processor.id}`;
const GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer";

async function start(options: Partial<GoogleOptions> = {}) {
  const served = await serve((clock) =>
    googleApi({ accounts: [account], processors: [processor], clock, ...options }),
  );
  const { origin, clock } = served;
  const ask = (form: Record<string, string>) =>
    send(`${origin}/token`, {
      headers: { "content-type": "application/x-www-form-urlencoded" },
      body: new URLSearchParams(form).toString(),
    });
  const askToken = (changes: Record<string, unknown> = {}) =>
    ask({ grant_type: GRANT, assertion: assertion(credentials, { now: clock.now(), ...changes }) });
  const authorized = async (): Promise<Record<string, string>> => {
    const { access_token: token } = (await askToken()).body as { access_token: string };
    return { authorization: `Bearer ${token}` };
  };
  const read = async (bytes: Uint8Array, more: object = {}): Promise<Answered> => {
    const rawDocument = { content: Buffer.from(bytes).toString("base64"), mimeType: "application/pdf" };
    return send(`${origin}${NAME}:process`, { headers: await authorized(), body: { rawDocument, ...more } });
  };
  return { ...served, ask, askToken, authorized, read };
}

const pagesOf = (count: number) =>
  renderPdf(
    Array.from({ length: count }, (_, at) => ({ heading: `Page ${at + 1}`, paragraphs: ["Texte."] })),
    { title: "Essai" },
  );

interface Anchored {
  readonly layout: { readonly textAnchor: { readonly textSegments?: readonly Record<string, string>[] } };
}
function textAt({ layout }: Anchored, text: string): string {
  const [{ startIndex = "0", endIndex = "0" } = {}] = layout.textAnchor.textSegments ?? [];
  return [...text].slice(Number(startIndex), Number(endIndex)).join("");
}

describe("the fake of Google's tokens", () => {
  it("gives a token for the assertion of a service account", async () => {
    const { askToken } = await start();

    expect((await askToken()).body).toMatchObject({
      access_token: expect.stringMatching(/^ya29\./) as string,
      expires_in: 3599,
      token_type: "Bearer",
    });
  });

  it.each([
    ["another account", { iss: "x@y.iam.gserviceaccount.com" }, "invalid_grant", "account not found"],
    ["an assertion of yesterday", { iat: 1, exp: 300 }, "invalid_grant", "short-lived token"],
    ["another audience", { aud: "https://evil.example/token" }, "invalid_grant", "audience"],
    ["another scope", { scope: "openid" }, "invalid_scope", "scope"],
  ])("refuses %s with 400", async (_, changes, error, description) => {
    const { askToken } = await start();

    expect(await askToken(changes)).toMatchObject({
      status: 400,
      body: { error, error_description: expect.stringContaining(description) as string },
    });
  });

  it("refuses a key that was deleted, another grant and what is no assertion", async () => {
    const { ask, clock } = await start();
    const forged = assertion(createAccount().credentials, { now: clock.now() });

    expect((await ask({ grant_type: GRANT, assertion: forged })).body).toMatchObject({
      error: "invalid_grant",
      error_description: "Invalid JWT Signature.",
    });
    expect((await ask({ grant_type: "password" })).body).toMatchObject({ error: "unsupported_grant_type" });
    expect((await ask({ grant_type: GRANT, assertion: "x" })).body).toMatchObject({ error: "invalid_grant" });
  });

  it("lets a token end after an hour", async () => {
    const { origin, authorized, clock } = await start();
    const headers = await authorized();

    expect((await send(`${origin}${NAME}`, { headers })).status).toBe(200);
    await clock.advance(3_600_000);
    expect(await send(`${origin}${NAME}`, { headers })).toMatchObject({
      status: 401,
      body: { error: { code: 401, status: "UNAUTHENTICATED" } },
    });
  });
});

describe("the fake of Document AI", () => {
  it("shows its processor, and refuses another, another project and a call without a token", async () => {
    const { origin, authorized } = await start();
    const headers = await authorized();
    const statuses = [NAME.replace(/\w+$/, "ffffffff"), NAME.replace("technicia", "other")].map(
      async (path) => (await send(`${origin}${path}`, { headers })).status,
    );

    expect((await send(`${origin}${NAME}`, { headers })).body).toMatchObject({
      name: NAME.slice("/v1/".length),
      state: "ENABLED",
      type: "OCR_PROCESSOR",
    });
    expect(await Promise.all(statuses)).toEqual([404, 403]);
    expect((await send(`${origin}${NAME}`)).status).toBe(401);
  });

  it("reads the text of a PDF, page by page, with anchors that count characters", async () => {
    const { read } = await start();
    const { document } = (await read(new Uint8Array(await readFile(MANUAL)))).body as {
      document: { text: string; pages: { pageNumber: number; paragraphs: Anchored[] }[] };
    };
    const paragraphs = document.pages.map((page) =>
      page.paragraphs.map((one) => textAt(one, document.text).trim().replaceAll("\n", " ")),
    );

    expect(document.pages.map(({ pageNumber }) => pageNumber)).toEqual([1, 2, 3]);
    expect(paragraphs[1]).toEqual(expect.arrayContaining([...(MANUAL_PAGES[1]?.paragraphs ?? [])]));
    expect(paragraphs[2]?.[0]).toBe(MANUAL_PAGES[2]?.heading);
  });

  it("reads 15 pages, 30 without their images, and says which limit was passed", async () => {
    const { read } = await start();
    const [sixteen, thirtyOne] = [await pagesOf(16), await pagesOf(31)];
    const imagelessMode = true;

    expect(await read(sixteen)).toMatchObject({
      status: 400,
      body: {
        error: {
          status: "INVALID_ARGUMENT",
          message: expect.stringContaining("15 got 16") as string,
          details: [{ reason: "PAGE_LIMIT_EXCEEDED", metadata: { page_limit: "15", pages: "16" } }],
        },
      },
    });
    expect((await read(sixteen, { imagelessMode })).status).toBe(200);
    expect((await read(thirtyOne, { imagelessMode })).status).toBe(400);
  });

  it("refuses what is no PDF, a damaged one, one with a password, and none", async () => {
    const { read } = await start();
    const locked = await renderPdf(MANUAL_PAGES, { title: "Fermé", password: "secret" });
    const answers = [
      await read(new Uint8Array(Buffer.from("no PDF"))),
      await read((await pagesOf(1)).slice(0, 200)),
      await read(locked),
      await read(new Uint8Array()),
    ];

    expect(answers.map(({ status }) => status)).toEqual([400, 400, 400, 400]);
    expect(answers[3]?.body).toMatchObject({
      error: { details: [{ fieldViolations: [{ description: "Document content is empty." }] }] },
    });
  });

  it("is away as often as it is told to, and keeps no document of many megabytes among its calls", async () => {
    const { read, faults, calls } = await start();
    faults.add(away("RESOURCE_EXHAUSTED", { path: ":process$", times: 1 }));
    const big = new Uint8Array(2 * 1024 * 1024);

    expect(await read(big)).toMatchObject({ status: 429, body: { error: { status: "RESOURCE_EXHAUSTED" } } });
    expect((await read(big)).status).toBe(400);
    expect(JSON.stringify(calls.list()).length).toBeLessThan(100_000);
  });
});

describe("the fake of Vision", () => {
  const width = 40;
  const picture = (level: number, text?: Record<string, string>) =>
    Buffer.from(
      encode({
        ...{ width, height: width, channels: 3, depth: 8 },
        data: new Uint8Array(width * width * 3).fill(level),
        ...(text && { text }),
      }),
    ).toString("base64");
  const features = ["LABEL_DETECTION", "TEXT_DETECTION", "IMAGE_PROPERTIES"].map((type) => ({ type }));

  it("labels a drawing, with its colours and the texts in its file", async () => {
    const { origin, authorized } = await start();
    const content = picture(255, { Title: "Schéma hydraulique" });
    const answer = await send(`${origin}/v1/images:annotate`, {
      headers: await authorized(),
      body: { requests: [{ image: { content }, features }] },
    });
    const [seen] = (answer.body as { responses: Record<string, unknown>[] }).responses;
    const labels = (seen?.["labelAnnotations"] as { description: string }[]).map(
      ({ description }) => description,
    );

    expect(labels).toEqual(["Diagram", "Line", "Parallel", "schéma", "hydraulique"]);
    expect(seen).toMatchObject({
      fullTextAnnotation: { text: "Schéma hydraulique" },
      imagePropertiesAnnotation: {
        dominantColors: {
          colors: [{ color: { red: 255, green: 255, blue: 255 }, score: 1, pixelFraction: 1 }],
        },
      },
    });
  });

  it("answers each image by itself, nothing for none, and 403 without the right", async () => {
    const { origin, authorized } = await start();
    const headers = await authorized();
    const bad = { image: { content: "eA==" }, features };
    const requests = [bad, { image: { content: picture(10) }, features }, {}, { ...bad, features: {} }];
    const url = `${origin}/v1/images:annotate`;
    const limited = await start({ accounts: [{ ...account, apis: ["documentai"] }] });

    expect((await send(url, { headers, body: { requests } })).body).toMatchObject({
      responses: [
        { error: { code: 3, message: "Bad image data." } },
        { labelAnnotations: [{ description: "Photograph" }] },
        { error: { code: 3, message: "Request must specify image and features." } },
        { error: { code: 3, message: "Request must specify image and features." } },
      ],
    });
    expect(await send(url, { headers, body: { requests: [null] } })).toMatchObject({
      status: 500,
      body: { error: { status: "INTERNAL" } },
    });
    expect(await send(url, { headers, body: { requests: [] } })).toMatchObject({ status: 200, body: {} });
    expect((await send(url, { body: { requests: [] } })).status).toBe(401);
    expect(
      await send(`${limited.origin}/v1/images:annotate`, {
        headers: await limited.authorized(),
        body: { requests: [] },
      }),
    ).toMatchObject({ status: 403, body: { error: { status: "PERMISSION_DENIED" } } });
  });
});
