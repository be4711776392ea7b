import { expect, it } from "vitest";

import { listObjects, type StorageOptions } from "../../common/object-storage.ts";

const object = (key: string, at: string) =>
  `<Contents><Key>${key}</Key><LastModified>${at}</LastModified><Size>9</Size></Contents>`;

it("lists the objects below a prefix from page to page, with the names that the storage has escaped", async () => {
  const asked: (string | null)[] = [];
  const pages = [
    `<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>a+b/c=</NextContinuationToken>${object("prod/snapshots/1&amp;2", "2026-11-24T08:00:00Z")}</ListBucketResult>`,
    `<ListBucketResult><IsTruncated>false</IsTruncated>${object("prod/snapshots/3", "2026-11-24T09:00:00Z")}</ListBucketResult>`,
  ];
  const options: StorageOptions = {
    ...{ address: "https://s3.rbx.io.cloud.ovh.net", region: "rbx", bucket: "ours" },
    key: { accessKeyId: "reader", secretAccessKey: "secret" },
    signal: new AbortController().signal,
    fetch: (input) => {
      const { searchParams } = new URL(input);
      expect([searchParams.get("list-type"), searchParams.get("prefix")]).toEqual(["2", "prod/snapshots/"]);
      asked.push(searchParams.get("continuation-token"));
      return Promise.resolve(new Response(pages[asked.length - 1]));
    },
  };

  const found: object[] = [];
  for await (const one of listObjects("prod/snapshots/", options)) found.push(one);

  expect(found).toEqual([
    { object: "prod/snapshots/1&2", size: 9, modified: "2026-11-24T08:00:00Z" },
    { object: "prod/snapshots/3", size: 9, modified: "2026-11-24T09:00:00Z" },
  ]);
  expect(asked).toEqual([null, "a+b/c="]);
});
