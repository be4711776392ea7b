import { afterEach, expect, it } from "vitest";

import { lendImages, takeBackImages } from "../../../rehearsal/images/lend.ts";
import { docker, imageOf } from "../../support/containers.ts";

const NAME = "technicia-test/lent:1.0.0";
const FOREIGN = "technicia-test/foreign:1.0.0";

afterEach(async () => {
  await docker("rmi", "--force", NAME).catch(() => undefined);
  await docker("rmi", "--force", FOREIGN).catch(() => undefined);
});

const idOf = (name: string) => docker("image", "inspect", "--format", "{{.Id}}", name);

it("gives an image its name at Docker Hub on this machine, and takes that away again", async () => {
  const ours = await imageOf("restic");

  await lendImages({ [NAME]: ours }, [NAME]);
  expect(await idOf(NAME)).toBe(await idOf(ours));
  await lendImages({ [NAME]: ours }, [NAME]);

  expect(await takeBackImages([NAME])).toEqual([NAME]);
  await expect(idOf(NAME)).rejects.toThrow();
  expect(await idOf(ours)).not.toBe("");
  expect(await takeBackImages([NAME])).toEqual([]);
});

it("leaves an image of that name that somebody else has put there", async () => {
  await docker("import", "--change", "CMD true", "/dev/null", FOREIGN);
  const before = await idOf(FOREIGN);

  await lendImages({ [FOREIGN]: await imageOf("restic") }, [FOREIGN]);

  expect(await idOf(FOREIGN)).toBe(before);
  expect(await takeBackImages([FOREIGN])).toEqual([]);
});
