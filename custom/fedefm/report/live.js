"use strict";
// Asks for the page again and puts what is new in the place of what is old; says so where nobody answers.
async function renew() {
  try {
    const answer = await fetch("/", { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.statusText);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.title = page.title;
    document.querySelector("main").replaceWith(page.querySelector("main"));
  } catch (error) {
    document.getElementById("gone").hidden = false;
  }
  setTimeout(renew, 2000);
}
setTimeout(renew, 2000);
