// What each page of Home Assistant loads: the cards of the integration.

import { defineCard } from "./card.js";
import "./strategy.js";

defineCard();
