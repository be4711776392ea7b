import type { JobList } from "../jobs.ts";

export type OrderStatus =
  | "cancelled"
  | "cancelling"
  | "checking"
  | "delivered"
  | "delivering"
  | "documentsRequested"
  | "notPaid"
  | "unknown";

export interface Account {
  nichandle: string;
  ovhSubsidiary: string;
  email: string;
  /** Status of an order after its payment. */
  afterPayment: "delivered" | "documentsRequested" | "cancelled";
}

export interface PaymentMethod {
  id: number;
  default: boolean;
  paymentType: string;
}

export interface CartItem {
  itemId: number;
  parentItemId: number | null;
  planCode: string;
  duration: string;
  pricingMode: string;
  quantity: number;
  configurations: { id: number; label: string; value: string }[];
}

export interface Cart {
  cartId: string;
  ovhSubsidiary: string;
  description: string;
  expire: string;
  assigned: boolean;
  readOnly: boolean;
  items: CartItem[];
}

export interface OrderLine {
  id: number;
  planCode: string | null;
  description: string;
  /** Prices in hundred-millionths of the currency, as the catalogue writes them. */
  price: number;
  configurations: { label: string; value: string }[];
}

export interface Order {
  orderId: number;
  /** Milliseconds since the epoch. */
  date: number;
  status: OrderStatus;
  lines: OrderLine[];
  tax: number;
  /** Set once delivered. */
  serviceName: string | null;
  /** What is to be delivered, if this is the order of a VPS. */
  vps: { planCode: string; datacentre: string; os: string } | null;
  payments: number;
}

export interface Task {
  id: number;
  date: string;
  progress: number;
  state: "todo" | "doing" | "done" | "error" | "cancelled" | "blocked" | "paused" | "waitingAck";
  type: string;
}

export interface VpsService {
  serviceName: string;
  displayName: string;
  planCode: string;
  vcore: number;
  memoryMib: number;
  diskGib: number;
  /** As the catalogue names it, for example GRA. */
  datacentre: string;
  ipv4: string;
  /** Empty for a server without one. */
  ipv6: string;
  state: string;
  netbootMode: "local" | "rescue";
  slaMonitoring: boolean;
  keymap: string | null;
  /** Name of the operating system that is installed, for example "Debian 12". */
  imageId: string;
  publicKey: string | null;
  tasks: Task[];
  creation: string;
  expiration: string;
  renew: { automatic: boolean; deleteAtExpiration: boolean; forced: boolean; period: number | null };
  expired: boolean;
  suspended: boolean;
  /** State of a contract that still is in force. @default "ok" */
  contract?: "ok" | "autorenewInProgress" | "pendingDebt" | "inCreation";
  /** As OVH writes it. @default "os-" and the datacentre */
  zone?: string;
}

export interface FirewallRule {
  sequence: number;
  action: "permit" | "deny";
  protocol: "ah" | "esp" | "gre" | "icmp" | "ipv4" | "tcp" | "udp";
  source: string | null;
  destinationPort: number | null;
  sourcePort: number | null;
  tcpOption: "established" | "syn" | null;
  fragments: boolean | null;
  state: "creationPending" | "ok" | "removalPending";
  creationDate: string;
}

export interface Firewall {
  ip: string;
  enabled: boolean;
  state: "ok" | "enableFirewallPending" | "disableFirewallPending";
  rules: FirewallRule[];
}

export interface ZoneRecord {
  id: number;
  fieldType: string;
  subDomain: string;
  target: string;
  ttl: number;
}

export interface Zone {
  name: string;
  records: ZoneRecord[];
  /** What the name servers answer: the records as of the last refresh. */
  published: ZoneRecord[];
  serial: number;
}

export interface StorageUser {
  id: number;
  username: string;
  description: string;
  status: "creating" | "ok";
  creationDate: string;
  /** Names. */
  roles: string[];
  /** JSON of what the user may do with S3; undefined as long as nobody has said. */
  policy: string | undefined;
  keys: { access: string; secret: string }[];
}

export interface Bucket {
  name: string;
  region: string;
  createdAt: string;
  versioning?: { status: "enabled" | "suspended" };
  objectLock?: {
    status: "enabled" | "disabled";
    rule?: { mode: "governance" | "compliance"; period: string };
  };
  /** Rules as they were given. */
  lifecycle: unknown[] | undefined;
}

/** A Public Cloud project, as far as its storage goes. */
export interface CloudProject {
  readonly id: string;
  users: StorageUser[];
  buckets: Bucket[];
}

export interface OvhState extends JobList {
  projects: CloudProject[];
  nextId: number;
  account: Account;
  paymentMethods: PaymentMethod[];
  carts: Cart[];
  orders: Order[];
  servers: VpsService[];
  firewalls: Firewall[];
  /** Address to name, with its final dot. */
  reverses: Record<string, string>;
  zones: Zone[];
  emails: { id: number; date: string; subject: string; body: string }[];
  /** Datacentre to stock status; those not named here are available. */
  stock: Record<string, string>;
}

/** An account with a past: an old order of something else, and no server. */
export function freshState(
  { zones, projects }: { readonly zones: readonly string[]; readonly projects: readonly string[] },
  { firstId, now }: { readonly firstId: number; readonly now: number },
): OvhState {
  const year = 365 * 24 * 3600 * 1000;
  return {
    projects: projects.map((id) => ({ id, users: [], buckets: [] })),
    nextJobId: 1,
    jobs: [],
    failures: [],
    nextId: firstId + 100,
    account: {
      nichandle: `xx${String(firstId).slice(-5)}-ovh`,
      ovhSubsidiary: "FR",
      email: "owner@example.org",
      afterPayment: "delivered",
    },
    paymentMethods: [{ id: firstId + 1, default: true, paymentType: "CREDIT_CARD" }],
    carts: [],
    orders: [
      {
        orderId: firstId + 2,
        date: now - year,
        status: "delivered",
        lines: [
          {
            id: firstId + 3,
            planCode: null,
            description: "Domain name renewal",
            price: 8_99000000,
            configurations: [],
          },
        ],
        tax: 1_79800000,
        serviceName: "example.org",
        vps: null,
        payments: 1,
      },
    ],
    servers: [],
    firewalls: [],
    reverses: {},
    zones: zones.map((name) => ({ name, records: [], published: [], serial: 1 })),
    emails: [
      {
        id: firstId + 4,
        date: new Date(now - year).toISOString(),
        subject: "[OVHcloud] Welcome",
        body: "Your account is open.",
      },
    ],
    stock: {},
  };
}
