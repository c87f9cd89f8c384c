const root = document.getElementById("swagger-ui");

SwaggerUIBundle({
  url: root.dataset.url,
  domNode: root,
  deepLinking: true,
  // The validator badge would send the description to swagger.io.
  validatorUrl: null,
});
