/** The collector on one of several servers. */
import { describe, expect, it } from "vitest";

import { until } from "../support/until.ts";
import { begin, writeUnified } from "./collector.ts";

const beginHere = (change: Parameters<typeof begin>[0], manages: boolean) =>
  begin(change, { ofSeveral: true, manages });

describe("the collector of one of several servers", () => {
  it("measures what runs here, and says on a manager how many tasks there should be everywhere", async () => {
    const services = { "technicia-n8n": 1, "technicia-gateway": 3, "technicia-vector-store": 2 };
    const collector = await beginHere({ services }, true);
    await writeUnified(collector.at("cgroup"));
    collector.start();
    const samples = await collector.samples();

    expect(samples.filter((line) => /^technicia_service_/.test(line))).toEqual([
      'technicia_service_running{service="n8n"} 1',
      'technicia_service_desired{service="n8n"} 1',
      'technicia_service_desired{service="gateway"} 3',
      'technicia_service_desired{service="vector-store"} 2',
    ]);
    expect(samples).toEqual(
      expect.arrayContaining([
        'node_load1{job="host"} 0.5',
        'technicia_container_memory_working_set_bytes{service="n8n"} 200',
        'technicia_task_starts_total{service="n8n"} 0',
        'technicia_collector_up{source="swarm"} 1',
      ]),
    );
  });

  it("asks a worker for its containers alone", async () => {
    const collector = await beginHere({ isWorker: true }, false);
    collector.start();
    const samples = (await collector.samples()).join("\n");

    expect(samples).toContain('technicia_service_running{service="n8n"} 1');
    expect(samples).toContain('technicia_collector_up{source="docker"} 1');
    expect(samples).not.toContain("technicia_service_desired");
    expect(samples).not.toContain('source="swarm"');
    expect(collector.said()).not.toContain(":");
  });

  it("measures containers also while a manager cannot say what the Swarm is to run", async () => {
    const collector = await beginHere({ isWorker: true }, true);
    collector.start();
    const samples = await collector.samples();

    expect(samples).toEqual(
      expect.arrayContaining([
        'technicia_service_running{service="n8n"} 1',
        'technicia_collector_up{source="swarm"} 0',
        'technicia_collector_up{source="docker"} 1',
      ]),
    );
  });

  it("has nothing to measure of a witness but the server itself", async () => {
    const collector = await beginHere({ containers: [], services: {} }, true);
    collector.start();
    const samples = (await collector.samples()).join("\n");

    expect(samples).toContain('node_load1{job="host"} 0.5');
    expect(samples).toContain('technicia_collector_up{source="docker"} 1');
    expect(samples).not.toContain("technicia_service_running");
  });

  it("writes a line from time to time, so that the journal of a server without work does not count as lost", async () => {
    const collector = await begin({ containers: [] }, { ofSeveral: true, signSeconds: 1 });
    collector.start();
    await until("it has written twice", () => collector.said() === "measures\nmeasures\n");
  });

  it("goes on counting what was started here and is elsewhere now", async () => {
    const collector = await beginHere({ containers: [] }, false);
    collector.start();
    await collector.samples();
    collector.world.containers = [{}];
    await collector.samples('technicia_task_starts_total{service="n8n"} 1');
    collector.world.containers = [];
    const samples = await collector.samples('technicia_service_running{service="n8n"} 0');

    expect(samples).toContain('technicia_task_starts_total{service="n8n"} 1');
    expect(collector.said()).not.toContain("Error");
  });
});
