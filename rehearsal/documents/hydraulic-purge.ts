/**
 * The manual that a rehearsal uploads: how to bleed a hydraulic circuit. `hydraulic-purge.pdf` beside it is made from it by
 * `node rehearsal/documents/hydraulic-purge.ts`.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import { type Page, renderPdf } from "./render.ts";

/** The file, as somebody would upload it. */
export const MANUAL = join(import.meta.dirname, "hydraulic-purge.pdf");

export const MANUAL_TITLE = "Centrale hydraulique CH-40 : notice de maintenance";

/** A question that the manual answers, and the page of the answer. */
export const MANUAL_QUESTION = { question: "Comment purger le circuit hydraulique ?", page: 2 } as const;

export const MANUAL_PAGES: readonly Page[] = [
  {
    heading: "1. Sécurité et préparation",
    paragraphs: [
      "Cette notice concerne la centrale CH-40, d'une pression nominale de 180 bar et d'un réservoir de 60 litres.",
      "Avant toute intervention, mettez la machine hors énergie, consignez le sectionneur principal et faites chuter la pression de " +
        "l'accumulateur par la vanne V1. Le manomètre M1 doit indiquer 0 bar.",
      "Portez des lunettes et des gants. Une fuite d'huile sous pression traverse la peau : ne la cherchez jamais à la main.",
      "Huile préconisée : HLP 46. Contrôlez le niveau vérins rentrés ; il se situe entre les deux repères du voyant.",
    ],
  },
  {
    heading: "2. Purge du circuit hydraulique",
    paragraphs: [
      "Pour purger le circuit hydraulique, ouvrez d'un demi-tour la vis de purge V3, au point le plus haut du circuit, et raccordez-y un " +
        "tuyau transparent plongé dans un bac.",
      "Démarrez la pompe à vide, sans charge, pendant 30 secondes, puis arrêtez-la. Recommencez jusqu'à ce que l'huile sorte sans bulles.",
      "Manœuvrez ensuite chaque vérin cinq fois sur toute sa course, à basse pression (20 bar), la vis de purge restant entrouverte.",
      "Refermez la vis V3 au couple de 12 Nm, complétez le niveau du réservoir et montez la pression par paliers de 50 bar.",
    ],
    drawing: "Figure 1 : schéma du circuit, avec la pompe, le vérin et la vis de purge V3.",
  },
  {
    heading: "3. Pannes et contrôles",
    paragraphs: [
      "Un bruit de cavitation de la pompe indique de l'air dans l'aspiration : contrôlez le niveau d'huile, le filtre F1 et les raccords.",
      "Un vérin qui avance par à-coups contient de l'air : reprenez la purge décrite à la page 2.",
      "Une pression trop basse vient le plus souvent du limiteur L2 : contrôlez son tarage, 190 bar, avec le manomètre M1.",
      "Remplacez le filtre F1 toutes les 1000 heures, et l'huile toutes les 4000 heures ou chaque année.",
    ],
  },
];

if (import.meta.main) await writeFile(MANUAL, await renderPdf(MANUAL_PAGES, { title: MANUAL_TITLE }));
