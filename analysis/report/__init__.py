"""Tables, text and the HTML page of absgd-report. Only the command may import it."""
