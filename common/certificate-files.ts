/** certbot's folder on the server. */
export const LETSENCRYPT = "/opt/technicia/letsencrypt";

/** The served certificate and its chain (PEM) on the server; `domain` is the certificate's first name. */
export function chainPath(domain: string): string {
  return `${LETSENCRYPT}/live/${domain}/fullchain.pem`;
}
