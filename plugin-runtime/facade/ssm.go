// SPDX-License-Identifier: Apache-2.0

package facade

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
)

// The parameters that MRE's helper reads when it is imported.
const (
	dataPlaneParameter    = "/MRE/DataPlane/EndpointURL"
	controlPlaneParameter = "/MRE/ControlPlane/EndpointURL"
)

// usualRegion is the one that containers get; a plugin may have set another.
const usualRegion = "us-east-1"

// signedFor finds the region in the credential scope of AWS's signatures. Who signed does not matter.
var signedFor = regexp.MustCompile(`Credential=[^/, ]*/[0-9]*/([a-z0-9-]{1,32})/`)

type parameter struct {
	Name, Type, Value, DataType string
	Version                     int
}

// serveSSM answers the parameter store.
func (f *Facade) serveSSM(w http.ResponseWriter, r *http.Request) {
	body, err := readBody(r)
	if err != nil {
		answerError(w, err)
		return
	}
	var in struct {
		Name  string
		Names []string
	}
	if json.Unmarshal(body, &in) != nil {
		answerSSM(w, http.StatusBadRequest,
			map[string]string{"__type": "SerializationException", "message": "the body is not a JSON object"})
		return
	}
	region := usualRegion
	if m := signedFor.FindStringSubmatch(r.Header.Get("Authorization")); m != nil {
		region = m[1]
	}
	switch target := r.Header.Get("X-Amz-Target"); target {
	case "AmazonSSM.GetParameters":
		found, invalid := []parameter{}, []string{}
		for _, name := range in.Names {
			if p, ok := f.parameter(name, region); ok {
				found = append(found, p)
			} else {
				invalid = append(invalid, name)
			}
		}
		answerSSM(w, http.StatusOK, map[string]any{"Parameters": found, "InvalidParameters": invalid})
	case "AmazonSSM.GetParameter":
		if p, ok := f.parameter(in.Name, region); ok {
			answerSSM(w, http.StatusOK, map[string]any{"Parameter": p})
			return
		}
		answerSSM(w, http.StatusBadRequest, map[string]string{"__type": "ParameterNotFound",
			"message": "the only parameters here are " + dataPlaneParameter + " and " + controlPlaneParameter})
	default:
		answerSSM(w, http.StatusBadRequest, map[string]string{"__type": "UnknownOperationException",
			"message": "no AWS service is reached from here; of the parameter store, GetParameters " +
				"and GetParameter are answered"})
	}
}

// parameter is an endpoint's URL. The helper wants it to look like one of AWS's; it looks anywhere in the text.
func (f *Facade) parameter(name, region string) (parameter, bool) {
	if name != dataPlaneParameter && name != controlPlaneParameter {
		return parameter{}, false
	}
	return parameter{Name: name, Type: "String", DataType: "text", Version: 1,
		Value: strings.TrimSuffix(f.BaseURL, "/") + "/x.execute-api." + region + ".amazonaws.com/api/"}, true
}

func answerSSM(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the plugin may have gone
}
