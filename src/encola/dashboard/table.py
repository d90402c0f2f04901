"""All pages and acts, as a table: path below ``/ui``, who shows it, who acts, and after how many beats an open page is
looked at anew (0: never)."""

from encola.dashboard.routes import Route
from encola.dashboard.views import audit, configuration, dead_letters, edit, messages, overview, queue, send, server

ROUTES = (
    Route("", overview.page, beats=2),
    Route("queues-new", configuration.new, configuration.create),
    Route("queues/{queue}", queue.page, beats=1),
    Route("queues/{queue}/pause", act=queue.pause),
    Route("queues/{queue}/resume", act=queue.resume),
    Route("queues/{queue}/confirm/{act}", queue.confirm, queue.destroy),
    Route("queues/{queue}/configuration", configuration.page, configuration.change),
    Route("queues/{queue}/send", send.page, send.act),
    Route("queues/{queue}/messages", messages.page),
    Route("queues/{queue}/messages/{message}", messages.message, messages.delete),
    Route("queues/{queue}/messages/{message}/body", messages.revealed),
    Route("queues/{queue}/messages/{message}/download", messages.download),
    Route("queues/{queue}/messages/{message}/edit", edit.page, edit.act),
    Route("queues/{queue}/dead-letters", dead_letters.page, beats=1),
    Route("queues/{queue}/dead-letters/messages", dead_letters.messages),
    Route("queues/{queue}/dead-letters/plan", dead_letters.plan, dead_letters.carry_out),
    Route("queues/{queue}/dead-letters/cancel", act=dead_letters.cancel),
    Route("works/{work}/cancel", act=queue.cancel_work),
    Route("server", server.page, beats=1),
    Route("audit", audit.page, beats=2),
)
