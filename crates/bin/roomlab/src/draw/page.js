"use strict";
const events = JSON.parse(document.getElementById("events").textContent);
const svg = document.querySelector("svg.room");
const about = document.getElementById("about");
const boxes = events.map((_, index) => document.getElementById("e" + index));
// The panel shows what the tooltip of the image says.
boxes.forEach((box) => box.querySelector("title").remove());
let pinned = null;

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

function show(index) {
  svg.querySelectorAll(".on").forEach((edge) => edge.classList.remove("on"));
  if (index === null) return;
  svg.querySelectorAll(`.f${index}, .prev.t${index}`).forEach((edge) => edge.classList.add("on"));
  const event = events[index];
  const notes = document.createElement("ul");
  event.notes.forEach((note) => notes.append(element("li", note)));
  about.replaceChildren(element("h2", event.title), element("div", event.id), notes, element("pre", event.pdu));
}

function pin(index) {
  if (pinned !== null) boxes[pinned].classList.remove("pinned");
  pinned = pinned === index ? null : index;
  if (pinned !== null) boxes[pinned].classList.add("pinned");
  show(pinned);
}

boxes.forEach((box, index) => {
  box.addEventListener("mouseenter", () => pinned === null && show(index));
  box.addEventListener("focus", () => pinned === null && show(index));
  box.addEventListener("click", () => pin(index));
  box.addEventListener("keydown", (key) => key.key === "Enter" && pin(index));
});

const search = document.getElementById("search");
const auth = document.getElementById("auth");
const kinds = [...document.querySelectorAll("[data-class]")];

function filter() {
  const wanted = search.value.toLowerCase();
  const classes = kinds.filter((kind) => kind.checked).map((kind) => kind.dataset.class);
  svg.classList.toggle("dim", wanted !== "" || classes.length > 0);
  events.forEach((event, index) => {
    const found = wanted === "" || (event.id + event.title + event.pdu).toLowerCase().includes(wanted);
    const kind = classes.length === 0 || classes.some((name) => boxes[index].classList.contains(name));
    boxes[index].classList.toggle("hit", found && kind);
  });
}

search.addEventListener("input", filter);
search.form.addEventListener("submit", (submit) => submit.preventDefault());
kinds.forEach((kind) => kind.addEventListener("change", filter));
auth.addEventListener("change", () => svg.classList.toggle("hover-auth", !auth.checked));
