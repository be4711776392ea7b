/** The names of IANA's list of time zones, links included, exactly as the list spells them. */

/** Names that Debian 13 and Ubuntu 24.04 have moved to the package `tzdata-legacy`. Each line is an area and the names in it. */
const LEGACY = names(`
  Africa: Asmera
  America: Argentina/ComodRivadavia Buenos_Aires Catamarca Cordoba Fort_Wayne Godthab Indianapolis Jujuy Knox_IN Louisville Mendoza Rosario
  Antarctica: South_Pole
  Asia: Ashkhabad Calcutta Choibalsan Chungking Dacca Katmandu Macao Rangoon Saigon Thimbu Ujung_Pandang Ulan_Bator
  Atlantic: Faeroe
  Australia: ACT LHI NSW North Queensland South Tasmania Victoria West
  Brazil: Acre DeNoronha East West
  -: CET CST6CDT Cuba EET EST EST5EDT Egypt Eire GB GB-Eire GMT+0 GMT-0 GMT0 Greenwich HST Hongkong Iceland Iran Israel Jamaica Japan Kwajalein Libya MET MST MST7MDT NZ NZ-CHAT Navajo PRC PST8PDT Poland Portugal ROC ROK Singapore Turkey UCT Universal W-SU WET Zulu
  Canada: Atlantic Central Eastern Mountain Newfoundland Pacific Saskatchewan Yukon
  Chile: Continental EasterIsland
  Europe: Kiev Uzhgorod Zaporozhye
  Mexico: BajaNorte BajaSur General
  Pacific: Enderbury Ponape Truk
  US: Alaska Aleutian Arizona Central East-Indiana Eastern Hawaii Indiana-Starke Michigan Mountain Pacific Samoa
`);

/** Names of today that Node.js knows but does not list, because it lists only one name of each zone. */
const UNLISTED = names(`
  Africa: Asmara Timbuktu
  America: Argentina/Buenos_Aires Argentina/Catamarca Argentina/Cordoba Argentina/Jujuy Argentina/Mendoza Atikokan Atka Ensenada Indiana/Indianapolis Kentucky/Louisville Montreal Nipigon Nuuk Pangnirtung Porto_Acre Rainy_River Santa_Isabel Shiprock Thunder_Bay Virgin Yellowknife
  Asia: Chongqing Harbin Ho_Chi_Minh Istanbul Kashgar Kathmandu Kolkata Tel_Aviv Yangon
  Atlantic: Faroe Jan_Mayen
  Australia: Canberra Currie Yancowinna
  Etc: GMT GMT0 Greenwich UCT UTC Universal Zulu
  Europe: Belfast Kyiv Nicosia Tiraspol
  -: GMT UTC
  Pacific: Chuuk Johnston Kanton Pohnpei Samoa Yap
`);

function names(lines: string): ReadonlySet<string> {
  return new Set(
    lines
      .trim()
      .split("\n")
      .flatMap((line) => {
        const [area = "", places = ""] = line.trim().split(": ");
        return places.split(" ").map((place) => (area === "-" ? place : `${area}/${place}`));
      }),
  );
}

/**
 * Whether systemd and n8n both take the name. Node.js by itself would also take other spellings (`europe/paris`), offsets (`+02:00`) and names
 * of Java (`AST`), none of which is a file on the server.
 */
export function isTimeZone(name: string): boolean {
  return (
    LEGACY.has(name) ||
    UNLISTED.has(name) ||
    /^Etc\/GMT([+-]([0-9]|1[0-2])|-1[34])$/.test(name) ||
    Intl.supportedValuesOf("timeZone").includes(name)
  );
}

/** Whether the server needs the package `tzdata-legacy` for the name, where there is one. */
export function isLegacyTimeZone(name: string): boolean {
  return LEGACY.has(name);
}
