import { getCACertificates, setDefaultCACertificates } from "node:tls";

let isDone = false;

/**
 * Makes this process trust the operating system's authorities as well as Node.js's own: a company whose proxy opens TLS adds its authority
 * there, and every other program on the machine trusts it. Takes some 50 ms, so commands that ask nobody do without.
 */
export function trustSystemStore(): void {
  if (isDone) return;
  isDone = true;
  setDefaultCACertificates([...getCACertificates("default"), ...getCACertificates("system")]);
}
