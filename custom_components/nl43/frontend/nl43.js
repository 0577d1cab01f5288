// What each page of Home Assistant loads: the cards and the dashboard strategy.
