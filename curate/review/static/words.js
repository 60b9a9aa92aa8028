// How facts are said: shapes and texts of tags, numbers, times. Names are only ever set as text.

export const SHAPES = { id: "●", ood: "◆", pending: "○" };
export const TAGS = { id: "ID", ood: "OOD", pending: "pending" };
const IN_FULL = { id: "in-distribution", ood: "out-of-distribution", pending: "waiting for its score" };

export const element = (name, attributes = {}, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
};

export const preview = (sha256, alt = "") => element("img", { src: `preview/${sha256}`, alt, loading: "lazy", decoding: "async" });

export const percent = (share) => {
  const value = share * 100;
  return `${value >= 10 || value === 0 ? value.toFixed(1) : Number(value.toPrecision(2))} %`;
};

export const count = (number) => number.toLocaleString("en");

export const images = (number) => (number === 1 ? "1 image" : `${count(number)} images`);

export const fileName = (row) => row.path.slice(row.path.lastIndexOf("/") + 1);

export const said = (row) => (row.reviewed_by ? `said ${row.reviewed_by}` : "by the model");

export const tagged = (row) => `${SHAPES[row.tag]} ${IN_FULL[row.tag]}`;

// A class comes from a person, or with the model's confidence.
export const looks = (row) => (row.confidence === null ? row.label : `looks like ${row.label}`);

export function described(row) {
  return `${fileName(row)}: ${IN_FULL[row.tag]}, ${said(row)}${row.label ? `, ${looks(row)}` : ""}`;
}

// An image without a person's word, at a false-alarm rate.
export function byModel(row, rate) {
  const tag = row.p_value === null ? "pending" : row.p_value <= rate ? "ood" : "id";
  return { ...row, tag, label: row.confidence === null ? null : row.label, reviewed_by: null, reviewed_at: null };
}

export const number = (value) => (value === null ? "–" : Number(value.toPrecision(4)).toString());

export const moment = (text) => new Date(text).toLocaleString("en", { dateStyle: "medium", timeStyle: "short" });
