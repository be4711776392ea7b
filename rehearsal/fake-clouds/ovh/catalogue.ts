import { badRequest } from "./errors.ts";

/** One size of server that can be rented. */
export interface Model {
  readonly planCode: string;
  readonly name: string;
  readonly vcore: number;
  readonly memoryGib: number;
  readonly diskGib: number;
  /** Hundred-millionths of a euro a month, without tax. */
  readonly price: number;
  readonly backupPrice: number;
  readonly weeklyBackupPrice: number;
  readonly datacentres: readonly string[];
  /** Whether new customers can order it; the catalogue lists some that only existing contracts keep. */
  readonly orderable: boolean;
}

const EUROPE = ["GRA", "SBG", "DE", "UK", "WAW"];
const CANADA = ["BHS"];
const LOCAL_ZONES = ["EU-WEST-LZ-AMS", "EU-CENTRAL-LZ-PRG"];

/** The one tax rate of all accounts, in percent. */
export const TAX_RATE = 20;

export const OPERATING_SYSTEMS = ["Debian 12", "Debian 13", "Ubuntu 22.04", "Ubuntu 24.04"];

export const MODELS: readonly Model[] = [
  model("vps-2027-model1", "VPS-1 2027", [2, 4, 40], [4.49, 0.5, 2.9]),
  model("vps-2027-model2", "VPS-2 2027", [4, 8, 75], [7.99, 0.8, 3.9]),
  model("vps-2027-model3", "VPS-3 2027", [6, 12, 100], [13.49, 1, 4.9]),
  model("vps-2027-model4", "VPS-4 2027", [8, 24, 200], [24.49, 1.2, 5.9]),
  { ...model("vps-2027-model2.LZ", "VPS-2 LZ 2027", [4, 8, 75], [7.49, 0.8, 3.9]), datacentres: LOCAL_ZONES },
  // Cheaper than anything above, and a trap: it can be renewed, not ordered.
  {
    ...model("vps-comfort-4-8-80-vps-2025-model2-10percent", "VPS-2 2025", [4, 8, 80], [5.9, 0.8, 3.9]),
    orderable: false,
  },
];

/** What the public catalogue answers for one subsidiary. */
export function renderCatalogue(subsidiary: string, operatingSystems: readonly string[]): unknown {
  return {
    catalogId: 4021,
    locale: { currencyCode: "EUR", subsidiary, taxRate: TAX_RATE },
    planFamilies: [{ name: "VPS" }],
    products: MODELS.map(renderProduct),
    plans: MODELS.map((of) => renderPlan(of, operatingSystems)),
    addons: addonsOfAll().map(renderAddon),
  };
}

export interface Addon {
  readonly planCode: string;
  readonly family: string;
  readonly name: string;
  readonly price: number;
}

export interface AddonFamily {
  readonly name: string;
  readonly mandatory: boolean;
  readonly addons: readonly Addon[];
}

export function addonFamilies(of: Model): readonly AddonFamily[] {
  const suffix = of.planCode.replace(/^vps-/, "");
  const addon = (family: string, planCode: string, name: string, price: number): Addon => ({
    planCode,
    family,
    name,
    price,
  });
  const backup = (keep: number): string => `option-auto-backup-2027-${keep}-${suffix.replace(/^2027-/, "")}`;
  return [
    {
      name: "os",
      mandatory: true,
      addons: [
        addon("os", "option-linux", "Linux", 0),
        addon("os", `option-windows-${suffix}`, "Windows Server", of.vcore * 4_00000000),
      ],
    },
    {
      name: "storage",
      mandatory: true,
      addons: [addon("storage", `option-storage-local-${suffix}`, `${of.diskGib} GB NVMe`, 0)],
    },
    {
      name: "automatedBackup",
      mandatory: true,
      addons: [
        addon("automatedBackup", backup(1), "Automated backup, 1 day", of.backupPrice),
        addon("automatedBackup", backup(7), "Automated backup, 7 days", of.weeklyBackupPrice),
      ],
    },
    {
      name: "snapshot",
      mandatory: false,
      addons: [addon("snapshot", `option-snapshot-${suffix}`, "Snapshot", 1_70000000)],
    },
  ];
}

export interface Requirement {
  readonly label: string;
  readonly required: boolean;
  readonly values: readonly string[];
}

export function configurations(of: Model, operatingSystems: readonly string[]): readonly Requirement[] {
  const inEurope = of.datacentres.some((code) => !CANADA.includes(code));
  const inCanada = of.datacentres.some((code) => CANADA.includes(code));
  return [
    { label: "infrastructure", required: false, values: ["preproduction", "production"] },
    {
      label: "region",
      required: true,
      values: [...(inCanada ? ["canada"] : []), ...(inEurope ? ["europe"] : [])],
    },
    { label: "vps_datacenter", required: true, values: of.datacentres },
    {
      label: "vps_os",
      required: true,
      values: [...operatingSystems, "Windows Server 2022 Standard (Desktop)"],
    },
  ];
}

export function regionOf(datacentre: string): string {
  return CANADA.includes(datacentre) ? "canada" : "europe";
}

export function findModel(planCode: string): Model | undefined {
  return MODELS.find((candidate) => candidate.planCode === planCode);
}

/** The model of a plan code that a client chose. */
export function requireModel(planCode: string): Model {
  const found = findModel(planCode);
  if (!found) throw badRequest(`Plan code ${planCode} does not exist`);
  return found;
}

/** A price as the order API writes it. */
export function renderPrice(price: number): unknown {
  const value = Math.round(price / 1_000000) / 100;
  return { currencyCode: "EUR", priceInUcents: price, text: `${value.toFixed(2)} €`, value };
}

function model(
  planCode: string,
  name: string,
  [vcore, memoryGib, diskGib]: [number, number, number],
  [euros, backup, weekly]: [number, number, number],
): Model {
  const price = (value: number): number => Math.round(value * 100) * 1_000000;
  return {
    planCode,
    name,
    vcore,
    memoryGib,
    diskGib,
    price: price(euros),
    backupPrice: price(backup),
    weeklyBackupPrice: price(weekly),
    datacentres: [...CANADA, ...EUROPE],
    orderable: true,
  };
}

function addonsOfAll(): readonly Addon[] {
  const all = MODELS.flatMap((of) => addonFamilies(of).flatMap((family) => family.addons));
  return [...new Map(all.map((addon) => [addon.planCode, addon])).values()];
}

// Only the product has sizes; the plan names its product.
function renderProduct(of: Model): unknown {
  return {
    name: productName(of),
    description: of.name,
    configurations: [],
    blobs: {
      technical: {
        bandwidth: { level: 500, unlimited: true },
        cpu: { brand: "Intel", cores: of.vcore, type: "vCore" },
        memory: { size: of.memoryGib, sizeUnit: "GB" },
        storage: {
          disks: [
            {
              capacity: of.diskGib,
              maximumCapacity: of.diskGib,
              number: 1,
              sizeUnit: "GB",
              technology: "NVMe",
            },
          ],
        },
        virtualization: { hypervisor: "KVM" },
      },
    },
  };
}

function renderPlan(of: Model, operatingSystems: readonly string[]): unknown {
  return {
    planCode: of.planCode,
    invoiceName: of.name,
    product: productName(of),
    family: "VPS",
    pricingType: "rental",
    consumptionConfiguration: null,
    blobs: { commercial: { brick: "vps", name: of.name } },
    configurations: configurations(of, operatingSystems).map(({ label, required, values }) => ({
      name: label,
      isCustom: false,
      isMandatory: required,
      values,
    })),
    addonFamilies: addonFamilies(of).map((family) => ({
      name: family.name,
      mandatory: family.mandatory,
      exclusive: true,
      default: null,
      addons: family.addons.map((addon) => addon.planCode),
    })),
    pricings: renderPricings(of.price, of.orderable),
  };
}

function renderAddon(addon: Addon): unknown {
  return {
    planCode: addon.planCode,
    invoiceName: addon.name,
    product: addon.planCode,
    family: addon.family,
    pricingType: "rental",
    consumptionConfiguration: null,
    blobs: null,
    configurations: [],
    addonFamilies: [],
    pricings: renderPricings(addon.price, true),
  };
}

// A year paid in advance is listed before the month, and is dearer in total: taking the first entry is wrong.
function renderPricings(price: number, orderable: boolean): readonly unknown[] {
  const pricing = (mode: string, capacities: readonly string[], months: number, amount: number): unknown => ({
    capacities,
    commitment: mode === "default" ? 0 : months,
    description: mode === "default" ? "Monthly fees" : `Fees for ${months} months`,
    interval: capacities.includes("installation") ? 0 : months,
    intervalUnit: capacities.includes("installation") ? "none" : "month",
    mode,
    mustBeCompleted: false,
    phase: capacities.includes("installation") ? 0 : 1,
    price: amount,
    promotions: [],
    quantity: { max: null, min: 1 },
    repeat: { max: null, min: 1 },
    strategy: "tiered",
    tax: Math.round((amount * TAX_RATE) / 100),
    type: capacities.includes("installation") ? "purchase" : "rental",
  });
  const yearly = Math.round((price * 12 * 95) / 100);
  const renewals = [
    pricing("upfront12", ["renew"], 12, yearly),
    pricing("default", ["renew", ...(orderable ? [] : ["upgrade", "downgrade"])], 1, price),
  ];
  return orderable ? [pricing("default", ["installation"], 1, 0), ...renewals] : renewals;
}

function productName(of: Model): string {
  return `${of.planCode}-product`;
}
