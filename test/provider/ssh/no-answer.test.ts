import { createServer, type AddressInfo } from "node:net";

import { describe, expect, it } from "vitest";

import { fetchHostKey } from "../../../provider/ssh/connect.ts";
import { NoAnswer } from "../../../provider/ssh/host.ts";

const ask = (port: number) =>
  fetchHostKey(
    { address: "127.0.0.1", port },
    { deadlineSeconds: 1, signal: new AbortController().signal },
  ).catch((error: unknown) => error);

/** A listener that treats each connection so. */
async function listening<T>(treat: "end" | "closed", work: (port: number) => Promise<T>): Promise<T> {
  const server = createServer((socket) => void socket.on("error", () => undefined).resetAndDestroy());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const close = () => new Promise((resolve) => server.close(resolve));
  if (treat === "closed") await close();
  try {
    return await work(port);
  } finally {
    if (treat !== "closed") await close();
  }
}

describe("a host on which no sshd answers", () => {
  it("is there all the same when it refuses the connection", async () => {
    const error = await listening("closed", ask);

    expect(error).toBeInstanceOf(NoAnswer);
    expect(error).toMatchObject({ isRefused: true });
  });

  it("is not known to be there when the connection breaks before a word", async () => {
    const error = await listening("end", ask);

    expect(error).toBeInstanceOf(NoAnswer);
    expect(error).toMatchObject({ isRefused: false });
  });
});
