/* eslint-disable
  @typescript-eslint/no-unsafe-assignment,
  @typescript-eslint/no-unsafe-member-access,
  @typescript-eslint/no-unsafe-return
  -- answers have every shape, and their shape is what is asserted here */
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import {
  type FakeCloudflare,
  type CloudflareOptions,
  DEFAULT_TOKEN,
  startCloudflare,
} from "../../../../rehearsal/fake-clouds/cloudflare/server.ts";
import { ManualClock } from "../../../../rehearsal/fake-clouds/clock.ts";
import { type Answered, anonymously } from "../ovh/client.ts";

const ZONE = { name: "example.org", id: "0123456789abcdef0123456789abcdef" };
const RECORDS = `/zones/${ZONE.id}/dns_records`;
const A = { name: "n8n.example.org", type: "A", content: "203.0.113.10", ttl: 300 };

let cloudflare: FakeCloudflare;

async function start(options: CloudflareOptions = {}): Promise<void> {
  cloudflare = await startCloudflare({ zones: [ZONE, "other.net"], ...options });
}

function call(
  method: string,
  path: string,
  body?: unknown,
  token: string = DEFAULT_TOKEN.token,
): Promise<Answered> {
  return anonymously(`${cloudflare.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${token}` },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
}

const problem = ({ status, body }: Answered): unknown => [
  status,
  body.errors[0].code,
  body.errors[0].error_chain?.[0].code,
];

beforeEach(() => start());
afterEach(() => cloudflare.close());

describe("authentication", () => {
  it("fails without a token, with a malformed one and with an unknown one", async () => {
    expect(problem(await anonymously(`${cloudflare.url}/zones`))).toEqual([400, 9106, undefined]);
    expect(problem(await call("GET", "/zones", undefined, "short"))).toEqual([400, 6003, 6111]);
    expect(problem(await call("GET", "/zones", undefined, "x".repeat(40)))).toEqual([403, 9109, undefined]);
  });

  it("keeps a token to its zones and permissions", async () => {
    const [edit, read] = ["e".repeat(40), "r".repeat(40)];
    await cloudflare.close();
    await start({
      tokens: [
        { token: edit, permissions: ["dns:edit"], zones: ["example.org"] },
        { token: read, permissions: ["dns:read", "zone:read"], zones: ["example.org"] },
      ],
    });
    const other = cloudflare.state.zones[1]?.id;

    expect((await call("POST", RECORDS, A, edit)).status).toBe(200);
    expect((await call("GET", RECORDS, undefined, edit)).status).toBe(200);
    expect(problem(await call("GET", `/zones/${ZONE.id}`, undefined, edit))).toEqual([403, 9109, undefined]);
    expect(problem(await call("GET", `/zones/${other}/dns_records`, undefined, edit))).toEqual([
      403,
      10000,
      undefined,
    ]);
    expect(problem(await call("POST", RECORDS, A, read))).toEqual([403, 10000, undefined]);
    expect((await call("GET", "/zones", undefined, read)).body.result).toHaveLength(1);
    expect((await call("GET", "/zones", undefined, edit)).body.result).toEqual([]);
  });
});

describe("zones", () => {
  it("are found by name and by id", async () => {
    const found = await call("GET", "/zones?name=example.org");

    expect(found.body).toMatchObject({
      ...{ success: true, errors: [], messages: [] },
      result: [{ id: ZONE.id, name: "example.org", status: "active" }],
      result_info: { page: 1, per_page: 20, count: 1, total_count: 1, total_pages: 1 },
    });
    expect((await call("GET", `/zones/${ZONE.id}`)).body.result.name).toBe("example.org");
    expect((await call("GET", "/zones?name=example.com")).body.result).toEqual([]);
  });

  it("are listed page by page, with an empty page after the last", async () => {
    const page = async (number: number) => (await call("GET", `/zones?per_page=1&page=${number}`)).body;

    expect((await page(1)).result_info).toEqual({
      page: 1,
      per_page: 1,
      count: 1,
      total_count: 2,
      total_pages: 2,
    });
    expect((await page(2)).result[0].name).toBe("other.net");
    expect((await page(3)).result).toEqual([]);
  });

  it("fail with 7003 when the id is unknown", async () => {
    expect(problem(await call("GET", `/zones/${"f".repeat(32)}/dns_records`))).toEqual([404, 7003, 7000]);
    expect(problem(await call("GET", "/nowhere"))).toEqual([404, 7003, 7000]);
  });
});

describe("records", () => {
  it("are created, read, replaced, patched and deleted", async () => {
    const { result } = (await call("POST", RECORDS, { ...A, comment: "by hand" })).body;
    expect(result).toMatchObject({
      ...A,
      comment: "by hand",
      proxied: false,
      proxiable: true,
      tags: [],
      settings: {},
    });
    expect((await call("GET", `${RECORDS}/${result.id}`)).body.result).toEqual(result);

    const replaced = (await call("PUT", `${RECORDS}/${result.id}`, { ...A, content: "203.0.113.11" })).body
      .result;
    expect(replaced).toMatchObject({ id: result.id, content: "203.0.113.11", comment: null });
    const patched = (await call("PATCH", `${RECORDS}/${result.id}`, { ttl: 60 })).body.result;
    expect(patched).toMatchObject({ content: "203.0.113.11", ttl: 60 });

    expect((await call("DELETE", `${RECORDS}/${result.id}`)).body).toEqual({ result: { id: result.id } });
    expect(problem(await call("DELETE", `${RECORDS}/${result.id}`))).toEqual([404, 81044, undefined]);
  });

  it("always have names of their zone", async () => {
    const nameOf = async (name: string) =>
      (await call("POST", RECORDS, { ...A, name })).body.result.name as string;

    expect(await nameOf("@")).toBe("example.org");
    expect(await nameOf("N8N")).toBe("n8n.example.org");
    expect(await nameOf("www.example.org.")).toBe("www.example.org");
    expect(await nameOf("www.other.net")).toBe("www.other.net.example.org");
  });

  it("are found by type, name and content together", async () => {
    await call("POST", RECORDS, A);
    await call("POST", RECORDS, { ...A, content: "203.0.113.11" });
    const count = async (query: string) =>
      (await call("GET", `${RECORDS}?${query}`)).body.result.length as number;

    expect(await count("type=A&name=n8n.example.org")).toBe(2);
    expect(await count("name=N8N.example.org&content=203.0.113.11")).toBe(1);
    expect(await count("type=AAAA")).toBe(0);
  });

  it("of type CAA are written as data or as content", async () => {
    const data = { flags: 0, tag: "issue", value: "letsencrypt.org" };
    const first = await call("POST", RECORDS, { name: "@", type: "CAA", ttl: 300, data });
    const second = await call("POST", RECORDS, {
      name: "@",
      type: "CAA",
      ttl: 300,
      content: '0 iodef "mailto:x@y.z"',
    });

    expect(first.body.result).toMatchObject({ content: '0 issue "letsencrypt.org"', data });
    expect(second.body.result.data).toEqual({ flags: 0, tag: "iodef", value: "mailto:x@y.z" });
  });

  it("that are proxied have an automatic ttl", async () => {
    const { body } = await call("POST", RECORDS, { ...A, proxied: true });

    expect(body.result).toMatchObject({ proxied: true, ttl: 1 });
  });

  it.each([
    ["identical", A, [400, 81058, undefined]],
    ["the same but for its ttl", { ...A, ttl: 60 }, [400, 81057, undefined]],
    ["an alias beside it", { ...A, type: "CNAME", content: "example.net" }, [400, 81053, undefined]],
  ])("refuse one that is %s", async (_, record, expected) => {
    await call("POST", RECORDS, A);

    expect(problem(await call("POST", RECORDS, record))).toEqual(expected);
    expect(cloudflare.state.zones[0]?.records).toHaveLength(1);
  });

  it.each([
    [{ content: "2001:db8::1" }, 9005],
    [{ type: "AAAA" }, 9006],
    [{ ttl: 59 }, 9021],
    [{ type: "TXT", content: "text", proxied: true }, 9004],
    [{ type: "WWW" }, 9004],
    [{ name: "" }, 9000],
    [{ tags: ["owner:me"] }, 9300],
    [{ type: "CAA" }, 9101],
    [{ comment: "x".repeat(101) }, 9313],
  ])("refuse %j with a chain of reasons", async (change, code) => {
    expect(problem(await call("POST", RECORDS, { ...A, ...change }))).toEqual([400, 1004, code]);
  });

  it("refuse a body that is no JSON object", async () => {
    expect(problem(await call("POST", RECORDS, [A]))).toEqual([400, 9207, undefined]);
  });
});

describe("the rate limit", () => {
  it("reports what is left, refuses requests beyond it and resets when its window ends", async () => {
    const clock = new ManualClock();
    await cloudflare.close();
    await start({ clock, rateLimit: { requests: 2, windowSeconds: 300 } });
    const first = await call("GET", "/zones");
    expect(first.headers.get("ratelimit")).toBe('"default";r=1;t=300');
    expect(first.headers.get("ratelimit-policy")).toBe('"default";q=2;w=300');
    await clock.advance(100_000);
    expect((await call("GET", "/zones")).status).toBe(200);

    const refused = await call("GET", "/zones");
    expect(problem(refused)).toEqual([429, 971, undefined]);
    expect(refused.headers.get("retry-after")).toBe("200");
    await clock.advance(200_000);
    expect((await call("GET", "/zones")).status).toBe(200);
  });
});
